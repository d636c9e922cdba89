"""Examine one file: is it a complete core of Asterisk, a core that is still being written, or none of the two?

The file is opened once and never again by its name, so that the file that was checked is the one that is used.
"""

import errno
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field

from astbtd.claims.core_judge import CoreJudge, OpenFile, reason_to_refuse
from astbtd.claims.examinations import Examinations, NotExamined
from astbtd.claims.findings import Candidate, Finding, NotACoreFile, OtherCore, Postponed, RefusedFile, StillWritten
from astbtd.claims.hard_links import open_directory
from astbtd.lib.files import reopen
from astbtd.lib.read_budget import BudgetExceeded
from astbtd.sources.collectors.collector import Collector

__all__ = [
    "Candidate",
    "CoreFilter",
    "Finding",
    "NotACoreFile",
    "OtherCore",
    "Postponed",
    "RefusedFile",
    "StillWritten",
    "examine",
    "reason_to_refuse",
]

ANY_NUMBER = 1 << 31
"""No limit for the number of hard links."""

_NEVER_OPENED = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV)


@dataclass(frozen=True)
class CoreFilter:
    """Examines files. `executables` are the names of Asterisk, None to accept any program.

    `links` is how many hard links a core may have. `collector` is the collector to which the directory belongs, if any.
    With `empty_counts`, an empty file that is open for writing is regarded as a core that is being written.
    `examinations` has the limits of what is read.
    """

    executables: Collection[str] | None
    links: int = 1
    collector: Collector | None = None
    empty_counts: bool = False
    examinations: Examinations = field(default_factory=Examinations)

    def examine(self, directory: str, name: str, seen: os.stat_result | None = None) -> Finding:
        """Examine the file `name` in or below `directory`. If it is no longer the file `seen`, it is `StillWritten`.

        Raises OSError if the file cannot be opened or read now: that says nothing about what it is.
        """
        path = os.path.join(directory, name)
        try:
            handle = _open_path(directory, name)
        except FileNotFoundError:
            return StillWritten(path) if seen else NotACoreFile()
        except OSError as error:
            if error.errno not in _NEVER_OPENED:
                raise
            return RefusedFile(path, f"it cannot be opened: {error.strerror}") if self.collector else NotACoreFile()
        try:
            if seen and not os.path.samestat(os.fstat(handle), seen):
                return StillWritten(path)
            return self._examine_handle(handle, directory, name)
        except OSError as error:
            if error.errno not in _NEVER_OPENED:
                raise
            return RefusedFile(path, f"it cannot be read: {error.strerror}")
        finally:
            os.close(handle)

    def examine_open(self, descriptor: int, directory: str, name: str) -> Finding:
        """Examine an open file that had this name. It is closed unless the finding contains the descriptor.

        Raises OSError if it cannot be read now.
        """
        finding: Finding = NotACoreFile()
        try:
            finding = self._examine_content(OpenFile(descriptor, directory, name))
        finally:
            if getattr(finding, "descriptor", None) is None:
                os.close(descriptor)
        return finding

    def _examine_handle(self, handle: int, directory: str, name: str) -> Finding:
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            return self.examine_open(reopen(handle), directory, name)
        looks_like_core = self.collector is not None or name.startswith("core")
        if looks_like_core and not stat.S_ISDIR(mode):
            return RefusedFile(os.path.join(directory, name), "it is not a regular file")
        return NotACoreFile()

    def _examine_content(self, file: OpenFile) -> Finding:
        """Examine an open file within the limits, unless its first bytes show that it is none."""
        if not file.may_be_core(empty_counts=self.empty_counts):
            return NotACoreFile()
        try:
            with self.examinations.examined(file.path, os.fstat(file.descriptor)) as examination:
                finding = CoreJudge(self.executables, self.links, self.collector, examination.budget).judge(file)
                examination.found_core = isinstance(finding, Candidate)
        except NotExamined as error:
            return Postponed(file.path, str(error)) if error.later else RefusedFile(file.path, str(error))
        except BudgetExceeded as error:
            return RefusedFile(file.path, str(error))
        return finding


def examine(directory: str, name: str, executables: Collection[str] | None, links: int = 1) -> Finding:
    """Examine the file `name` in `directory` with a `CoreFilter`."""
    return CoreFilter(executables, links).examine(directory, name)


def _open_path(directory: str, name: str) -> int:
    """Open the file itself with O_PATH, without following links in `name`."""
    *subdirectories, last = name.split("/")
    parent = open_directory(directory, os.O_PATH)
    try:
        for subdirectory in subdirectories:
            child = os.open(subdirectory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            os.close(parent)
            parent = child
        return os.open(last, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)
