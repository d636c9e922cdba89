"""Open the core file that a person has named, or find the newest one in the directories that were named."""

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from astbtd.claims import core_ownership
from astbtd.claims.core_filter import ANY_NUMBER, Candidate, CoreFilter, Postponed, RefusedFile, StillWritten
from astbtd.errors import AstbtdError, NothingMatched
from astbtd.lib import files
from astbtd.settings import Settings
from astbtd.sources import watched_directories
from astbtd.store.collected_identities import CollectedIdentities


class PermissionDenied(AstbtdError):
    """A file may be a core, but the user may not read it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: permission denied", "use sudo")


def open_core(name: str, settings: Settings, executable: Path | None) -> Candidate:
    """Open the core at `name`. Raises AstbtdError if it is not a core that can be processed.

    `executable` is the program that crashed, None if the core names the right one.
    """
    path = os.path.realpath(name)
    executables = None if executable else settings.asterisk.executables
    directory, inside, collector = watched_directories.split_collected_path(path, settings.collectors)
    with files.wrap_os_error(f"cannot examine {name}"):
        finding = CoreFilter(executables, ANY_NUMBER, collector).examine(directory, inside)
    if isinstance(finding, Candidate):
        return _set_executable(finding, executable)
    if isinstance(finding, RefusedFile | Postponed):
        _check_readable(name)
        raise AstbtdError(f"{name}: {finding.reason}", "to process a core of another program, give --executable")
    if isinstance(finding, StillWritten):
        if finding.descriptor is not None:
            os.close(finding.descriptor)
        raise AstbtdError(f"{name}: still being written", "retry when the core is complete")
    _check_readable(name)
    raise AstbtdError(f"{name}: not a core file", "give the core that the kernel or another collector wrote")


def find_newest(
    names: Sequence[str], settings: Settings, executable: Path | None, collected: CollectedIdentities | None
) -> str:
    """Return the path of the core with the latest crash time. Raises NothingMatched, PermissionDenied.

    A core that is among `collected` is only returned if all are: so the older ones can be collected one by one. Those
    of foreign programs come after the PBX's: any user may put one into the directory.
    """
    identity = watched_directories.find_remembered_identity(settings)
    crash_times: dict[str, tuple[bool, bool, datetime]] = {}
    unreadable: list[PermissionDenied] = []
    for name in _expand(names):
        try:
            candidate = open_core(name, settings, executable)
        except AstbtdError as error:
            unreadable += [error] if isinstance(error, PermissionDenied) else []
            continue
        is_new = collected is None or not collected.among({candidate.facts.identity})
        is_of_pbx = not core_ownership.judge(candidate, identity).is_foreign
        crash_times[candidate.path] = is_new, is_of_pbx, candidate.facts.crashed_at
        os.close(candidate.descriptor)
    if unreadable and not crash_times:
        raise unreadable[0]
    if not crash_times:
        raise NothingMatched(f"no core of Asterisk in {', '.join(names)}", "give the directory that holds the cores")
    return max(crash_times, key=lambda path: crash_times[path])


def _expand(names: Collection[str]) -> Iterator[str]:
    """Yield the files that the names stand for: globs are expanded, directories replaced by their entries."""
    for name in names:
        for path in glob.glob(name) or [name]:
            if os.path.isdir(path):
                yield from (entry.path for entry in os.scandir(path))
            else:
                yield path


def _check_readable(name: str) -> None:
    """Raise AstbtdError with the reason if the file cannot be opened, for example because it does not exist."""
    try:
        os.stat(name)
        if not os.access(name, os.R_OK, effective_ids=True):
            raise PermissionDenied(name)
    except PermissionError as error:
        raise PermissionDenied(name) from error
    except OSError as error:
        raise AstbtdError(f"{name}: {error.strerror}", "check the path") from error


def _set_executable(candidate: Candidate, executable: Path | None) -> Candidate:
    if executable is None:
        return candidate
    if not executable.is_file():
        raise AstbtdError(f"{executable}: not a file", "give the program that crashed with --executable")
    process = replace(candidate.facts.process, executable=str(executable.resolve()))
    return replace(candidate, facts=replace(candidate.facts, process=process))
