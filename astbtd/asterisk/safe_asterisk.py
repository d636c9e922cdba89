"""Find the directories to which safe_asterisk, the script that restarts Asterisk, moves cores.

Its DUMPDROP comes from its environment or from the scripts in startup.d, which it sources at start
(contrib/scripts/safe_asterisk in Asterisk's sources). These files belong to the asterisk user: they are parsed, never
evaluated.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from astbtd.asterisk import asterisk_processes
from astbtd.lib.files import open_regular
from astbtd.lib.mounts import Mounts

_PROC = Path("/proc")
_SCRIPT = b"safe_asterisk"
_DEFAULT = "/tmp"  # noqa: S108 - the default of safe_asterisk, which we only read
_VARIABLE = b"DUMPDROP="
_ASSIGNMENT = re.compile(r"""^\s*(?:export\s+)?DUMPDROP=["']?(/[^"'$`;\s]*)["']?\s*(?:#.*)?$""", re.MULTILINE)
_MAX_SCRIPT_BYTES = 1 << 16


def find_dump_drops(configuration: Path, is_trusted: Callable[[int], bool] = lambda _: True) -> tuple[str, ...]:
    """Return the directories to which running safe_asterisks move cores; `configuration` is asterisk.conf.

    Only processes for whose pid `is_trusted` returns True count: any user can run a script of that name.
    """
    running = [pid for pid in asterisk_processes.all_pids() if is_safe_asterisk(pid) and is_trusted(pid)]
    if not running:
        return ()
    configured = _configured_dump_drop(configuration.parent / "startup.d")
    if configured:
        return (configured,)
    found = (_inherited_dump_drop(pid) or _DEFAULT for pid in running)
    return tuple(dict.fromkeys(found))


def is_safe_asterisk(pid: int) -> bool:
    """Return whether a process calls itself safe_asterisk.

    The command line shows it: comm is the script's name only if it was not started as `sh safe_asterisk`.
    """
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        return False
    return any(os.path.basename(word) == _SCRIPT for word in words)


def _configured_dump_drop(scripts: Path) -> str | None:
    """Return the directory that the scripts set: the last assignment applies.

    A directory on a remote file system is not accessed, since that may block forever.
    """
    mounts = Mounts.current()
    if mounts.remote_mount(mounts.resolve_links(str(scripts))):
        return None
    assigned = list(_assignments(scripts))
    return assigned[-1] if assigned else None


def _assignments(directory: Path) -> Iterator[str]:
    for script in sorted(directory.glob("*.sh")):
        try:
            descriptor = open_regular(script)
        except OSError:
            continue
        try:
            yield from _ASSIGNMENT.findall(os.pread(descriptor, _MAX_SCRIPT_BYTES, 0).decode(errors="replace"))
        finally:
            os.close(descriptor)


def _inherited_dump_drop(pid: int) -> str | None:
    """Return the directory in the environment of safe_asterisk; None if it is not an absolute path."""
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for variable in variables:
        if variable.startswith(_VARIABLE + b"/"):
            return os.fsdecode(variable.removeprefix(_VARIABLE))
    return None
