"""Ask debuginfod servers for one debug file with elfutils' debuginfod-find, within limits, and verify what came.

All that is sent is a build id (debuginfod(8), "WEBAPI"). What a server sends is not trusted: only an ELF file with the
build id that was asked for is accepted. debuginfod-find has limits of its own, but a server that keeps silent, or gives
no size, is not held to them: so it is also run with a time limit, and a limit on the size of its files.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astbtd.elf.elf_sections import debug_build_id
from astbtd.elf.headers import NotElf, file_reader
from astbtd.errors import AstbtdError
from astbtd.lib import files, subprocesses
from astbtd.lib.quantities import format_size
from astbtd.model.crash import ExtractionOutcome
from astbtd.symbols.symbol_requests import Result

PROGRAM = "debuginfod-find"
INSTALL = "apt install debuginfod (Fedora and RHEL: dnf install elfutils-debuginfod-client)"

_NOT_THERE = "No such file or directory"  # how it reports that no server has the file
_TOO_LARGE = "File too large"
_MIB = 1 << 20


@dataclass(frozen=True)
class DebuginfodClient:
    """Asks `servers`, all at once. `time` is in seconds, `size` in bytes: the limits of one file.

    `work` is a private directory that is emptied before each use.
    """

    servers: Sequence[str]
    time: float
    size: int
    work: Path

    def fetch(self, build_id: str, target: Path) -> tuple[Result, str]:
        """Download the debug file of a build to the new file `target`; return the result and the reason for people.

        Raise AstbtdError if debuginfod-find cannot be started, OSError if the disk is full.
        """
        files.remove_tree(self.work)
        files.make_directory(self.work, files.PRIVATE_DIRECTORY_MODE)
        try:
            finished, text = subprocesses.output(
                ["prlimit", f"--fsize={self.size}", "--core=0", PROGRAM, "debuginfo", build_id],
                timeout=self.time,
                environment=self._environment(),
            )
            if finished.ended is not ExtractionOutcome.OK:
                return self._failure(finished, text)
            downloaded = self.work / build_id / "debuginfo"
            if problem := find_problem(downloaded, build_id, self.size):
                return Result.REFUSED, problem
            files.publish(downloaded, target)
            return Result.FOUND, ""
        finally:
            files.remove_tree(self.work)

    def _environment(self) -> dict[str, str]:
        """Return the variables of debuginfod-find(1)."""
        seconds = str(max(1, int(self.time)))
        return {
            "DEBUGINFOD_URLS": " ".join(self.servers),
            "DEBUGINFOD_CACHE_PATH": str(self.work),
            "DEBUGINFOD_TIMEOUT": seconds,
            "DEBUGINFOD_MAXTIME": seconds,
            "DEBUGINFOD_MAXSIZE": str(self.size),
        }

    def _failure(self, finished: subprocesses.Finished, text: str) -> tuple[Result, str]:
        lines = text.strip().splitlines()
        said = lines[-1] if lines else f"exit status {finished.status}"
        if finished.ended is ExtractionOutcome.TIMEOUT:
            return Result.FAILED, f"no answer within {self.time:.0f} s (symbols.time)"
        if finished.status == -signal.SIGXFSZ or _TOO_LARGE in said:
            return Result.REFUSED, f"larger than {format_size(self.size)} (symbols.size)"
        if finished.status == 127:
            raise AstbtdError(f"{PROGRAM} is not installed", INSTALL)
        return (Result.MISSING, "") if _NOT_THERE in said else (Result.FAILED, said)


def find_problem(path: Path, build_id: str, size: int) -> str | None:
    """Return why a downloaded file is not the debug file that was asked for, None if it is."""
    try:
        descriptor = files.open_regular(path, follow=False)
    except OSError as error:
        return f"no file was written: {error.strerror}"
    try:
        return find_problem_in(descriptor, build_id, size)
    finally:
        os.close(descriptor)


def find_problem_in(descriptor: int, build_id: str, size: int) -> str | None:
    """Do the same for an open file."""
    if os.fstat(descriptor).st_size > size:
        return f"larger than {format_size(size)} (symbols.size)"
    try:
        found = debug_build_id(file_reader(descriptor))
    except NotElf as error:
        return f"not an ELF file: {error}"
    return None if found == build_id else f"its build id is {found or 'missing'}"
