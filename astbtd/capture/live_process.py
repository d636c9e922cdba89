"""One living process, seen through its directory in /proc, which stays its own however pids are reused."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import AstbtdError, NothingMatched

_SWITCHES = re.compile(rb"ctxt_switches:\s*(\d+)")
_LARGEST_TEXT = 64 << 20  # bytes of a file in /proc; 65,530 mappings make about 10 MB


@dataclass(frozen=True)
class LiveProcess:
    """A process by its pid and an open descriptor of /proc/PID."""

    pid: int
    directory: int

    def read(self, name: str) -> bytes:
        """What a file of /proc/PID says. Raises OSError, ESRCH once the process is gone."""
        with open(self.open(name), "rb", buffering=0) as file:
            parts = []
            while part := file.read(_LARGEST_TEXT):
                parts.append(part)
        return b"".join(parts)

    def open(self, name: str) -> int:
        """A descriptor of a file of /proc/PID. Raises OSError."""
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.directory)

    def status(self) -> dict[str, str]:
        """The lines of /proc/PID/status."""
        lines = (line.partition(":") for line in self.read("status").decode(errors="replace").splitlines())
        return {name: value.strip() for name, _, value in lines}

    def threads(self) -> list[int]:
        """The ids of its threads, rising. Raises OSError."""
        descriptor = os.open("task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.directory)
        try:
            return sorted(map(int, os.listdir(descriptor)))
        finally:
            os.close(descriptor)

    def switches(self) -> dict[int, int]:
        """How often each thread was taken off its processor; it has not run where that stays the same."""
        counts = {}
        for tid in self.threads():
            with suppress(OSError):  # it has ended
                found = _SWITCHES.findall(self.read(f"task/{tid}/status"))
                counts[tid] = sum(map(int, found))
        return counts

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it, as SIGSTOP does."""
        return self.status().get("State", "").startswith("T")


@contextmanager
def opened(pid: int) -> Iterator[LiveProcess]:
    """The process. Raises AstbtdError where there is none or it is not to be disturbed."""
    try:
        directory = os.open(Path("/proc") / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NothingMatched(f"there is no process {pid}", "`pgrep asterisk` lists what runs") from error
    try:
        process = LiveProcess(pid, directory)
        _check(process)
        yield process
    except ProcessLookupError as error:
        raise AstbtdError(f"process {pid} has ended", "where it crashed, `astbtd list` will show it") from error
    finally:
        os.close(directory)


def is_dumping(status: dict[str, str]) -> bool:
    """Whether the kernel is writing a core of a process with this status."""
    return status.get("CoreDumping", "0") != "0"


def let_go_on(process: LiveProcess) -> None:
    """Lets the process go on if it is stopped. Raises OSError."""
    if process.is_stopped():
        os.kill(process.pid, signal.SIGCONT)


def _check(process: LiveProcess) -> None:
    status = process.status()
    if is_dumping(status):
        raise AstbtdError(
            f"process {process.pid} has crashed, and its core is being written", "`astbtd list` will show the crash"
        )
    if status.get("TracerPid", "0") != "0":
        raise AstbtdError(f"process {process.pid} is being traced by process {status['TracerPid']}", "end that first")
    if status.get("State", "").startswith(("Z", "X")):
        raise ProcessLookupError(process.pid)
    if len(status.get("NSpid", "").split()) > 1:
        raise AstbtdError(
            f"process {process.pid} has a pid name space of its own", "install astbtd in the container it runs in"
        )
