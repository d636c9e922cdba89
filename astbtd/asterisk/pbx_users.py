"""Find the users that the PBX runs as, from what root has configured or started.

Sources: units of systemd that start Asterisk, safe_asterisk run by root, `runuser` in an asterisk.conf that is root's,
and our own configuration. Nothing that the process itself or its user controls is a source.
"""

import json
import os
import pwd
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from astbtd.asterisk import asterisk_processes, safe_asterisk
from astbtd.asterisk.unit_files import SHELLS, UNIT_DIRECTORIES, Unit, is_of_root, read_units
from astbtd.lib import files
from astbtd.lib.mounts import Mounts

_PROC = Path("/proc")
_STARTERS = frozenset(("safe_asterisk", "fwconsole"))  # fwconsole is FreePBX's


class IdentitySettings(Protocol):
    """The settings that the identity of the PBX depends on. `users` are names or numbers."""

    @property
    def executables(self) -> tuple[str, ...]:
        """The names of Asterisk's executable."""

    @property
    def configuration(self) -> str:
        """The path of asterisk.conf."""

    @property
    def users(self) -> tuple[str, ...]:
        """Additional users of the PBX."""


def find_users(settings: IdentitySettings, memory: Path | None = None) -> frozenset[int]:
    """Return the uids of the PBX: root, our own user, and those of all sources, now or at an earlier call.

    Those of earlier calls are in the file `memory`, to which new ones are added.
    """
    units = find_units(settings.executables)
    names = [name for unit in units.values() for name in _unit_users(unit)]
    names += _configured_runuser(Path(settings.configuration))
    found = set(filter(_is_some, map(user_id, names)))
    found |= set(_users_of_started(settings.executables, units))
    known = {uid for uid in found if uid is not None} | _remember(memory, found)
    configured = {uid for uid in map(user_id, settings.users) if uid is not None}
    return frozenset(known | configured | {0, os.geteuid()})


def user_id(name: str) -> int | None:
    """Return the uid of a user, given by name or number; None if there is no such user."""
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def process_ids(pid: int, kind: str) -> list[int]:
    """Return the different real, effective and saved ids of a process; `kind` is Uid or Gid. Raise OSError."""
    words = asterisk_processes.status_words(pid, kind)
    return list(dict.fromkeys(int(word) for word in words[:3]))


def find_units(executables: Collection[str], directories: Sequence[str] = UNIT_DIRECTORIES) -> dict[str, Unit]:
    """Return the units of this machine that start Asterisk, by name. Only files that are root's count."""
    starters = _STARTERS | set(executables)
    return {name: unit for name, unit in read_units(directories) if starters & unit.programs()}


def unit_of_process(pid: int) -> str | None:
    """Return the system service that a process belongs to; None if it is in a session or a service of a user."""
    try:
        lines = (_PROC / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "name=systemd"):
            for part in path.split("/"):
                if part.endswith((".service", ".scope")):  # the first one is the system's, those below may be a user's
                    return part
    return None


def _unit_users(unit: Unit) -> Iterator[str]:
    """Yield the user of a unit, and the one that Asterisk is to change to (`-U`)."""
    if unit.user and "%" not in unit.user:
        yield unit.user
    for words in unit.commands:
        options = asterisk_processes.parse_options([word.encode() for word in words])
        if "-U" in options:
            yield options["-U"]


def _configured_runuser(configuration: Path) -> list[str]:
    """Return `runuser` of an asterisk.conf that only root can write. Remote file systems are not accessed."""
    mounts = Mounts.current()
    if mounts.remote_mount(mounts.resolve_links(str(configuration))):
        return []
    try:
        if not is_of_root(configuration.stat()):
            return []
        value = asterisk_processes.read_setting(configuration, "options", "runuser")
    except OSError:
        return []
    return [value] if value else []


def _users_of_started(executables: Collection[str], units: Mapping[str, Unit]) -> Iterator[int]:
    """Yield the uids of the running Asterisks that root's safe_asterisk or one of the units has started."""
    for pid in asterisk_processes.running_pids(executables):
        with suppress(OSError):
            uids = process_ids(pid, "Uid")
            if len(uids) == 1 and (unit_of_process(pid) in units or _is_roots_safe_asterisk(_parent(pid))):
                yield uids[0]


def _parent(pid: int) -> int:
    """Return the id of the parent process. Raise OSError."""
    return int((_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def _is_roots_safe_asterisk(pid: int) -> bool:
    """Return whether a process is safe_asterisk, run by a shell of root. Raise OSError.

    The command line alone proves nothing: set-user-ID programs such as su run with one that their user chooses.
    """
    if pid <= 0 or not safe_asterisk.is_safe_asterisk(pid) or process_ids(pid, "Uid") != [0]:
        return False
    return os.path.basename(os.readlink(_PROC / str(pid) / "exe")) in SHELLS


def _remember(memory: Path | None, found: Collection[int | None]) -> set[int]:
    """Add uids to the file `memory`, and return all that are in it. A damaged file counts as empty.

    A file that cannot be read now stays as it is.
    """
    if memory is None:
        return set()
    known: set[int] = set()
    try:
        known = {uid for uid in json.loads(memory.read_bytes()) if isinstance(uid, int)}
    except (FileNotFoundError, ValueError, TypeError):
        pass
    except OSError:
        return known
    remembered = known | {uid for uid in found if uid is not None}
    if remembered != known:
        with suppress(OSError):  # the next call tries again
            files.replace(memory, json.dumps(sorted(remembered)).encode(), files.PRIVATE_FILE_MODE)
    return remembered


def _is_some(uid: int | None) -> bool:
    return uid is not None
