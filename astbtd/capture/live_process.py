"""A running process, accessed through an open /proc/PID directory, so that a reused pid cannot be mistaken for it."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import AstbtdError, NothingMatched
from astbtd.lib import subprocesses

_SWITCHES = re.compile(rb"ctxt_switches:\s*(\d+)")
_READ_SIZE = 64 << 20  # bytes; 65,530 mappings make about 10 MB of /proc/PID/maps


@dataclass(frozen=True)
class LiveProcess:
    """A process: its pid and an open descriptor of /proc/PID."""

    pid: int
    directory: int

    def read(self, name: str) -> bytes:
        """Return the content of a file in /proc/PID. Raise OSError, with ESRCH if the process has ended."""
        with open(self.open(name), "rb", buffering=0) as file:
            parts = []
            while part := file.read(_READ_SIZE):
                parts.append(part)
        return b"".join(parts)

    def open(self, name: str) -> int:
        """Open a file in /proc/PID for reading and return the descriptor. Raise OSError."""
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.directory)

    def status(self) -> dict[str, str]:
        """Return the fields of /proc/PID/status. Raise OSError."""
        lines = (line.partition(":") for line in self.read("status").decode(errors="replace").splitlines())
        return {name: value.strip() for name, _, value in lines}

    def threads(self) -> list[int]:
        """Return the ids of all threads, ordered. Raise OSError."""
        descriptor = os.open("task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.directory)
        try:
            return sorted(map(int, os.listdir(descriptor)))
        finally:
            os.close(descriptor)

    def context_switches(self) -> dict[int, int]:
        """Return the number of context switches of each thread; a thread whose number is unchanged has not run."""
        counts = {}
        for tid in self.threads():
            with suppress(OSError):  # the thread has ended
                found = _SWITCHES.findall(self.read(f"task/{tid}/status"))
                counts[tid] = sum(map(int, found))
        return counts

    def is_stopped(self) -> bool:
        """Return whether the process was stopped by a signal such as SIGSTOP."""
        return self.status().get("State", "").startswith("T")


@contextmanager
def open_process(pid: int) -> Iterator[LiveProcess]:
    """Open a process. Raise NothingMatched if there is none, AstbtdError if it must not be disturbed or ends."""
    try:
        directory = os.open(Path("/proc") / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NothingMatched(f"there is no process {pid}", "`pgrep asterisk` lists running processes") from error
    try:
        process = LiveProcess(pid, directory)
        _check_may_be_traced(process)
        yield process
    except ProcessLookupError as error:
        raise AstbtdError(f"process {pid} has ended", "if it crashed, `astbtd list` will show it") from error
    finally:
        os.close(directory)


def is_dumping(status: dict[str, str]) -> bool:
    """Return whether the kernel is writing a core of a process with this status."""
    return status.get("CoreDumping", "0") != "0"


def resume(process: LiveProcess) -> None:
    """Send SIGCONT to the process if it is stopped. Raise OSError."""
    if process.is_stopped():
        subprocesses.send_signal(process.pid, signal.SIGCONT)


def _check_may_be_traced(process: LiveProcess) -> None:
    status = process.status()
    if is_dumping(status):
        raise AstbtdError(
            f"process {process.pid} has crashed, and its core is being written", "`astbtd list` will show the crash"
        )
    tracer = status.get("TracerPid", "0")
    if tracer != "0":
        raise AstbtdError(
            f"process {process.pid} is being traced by process {tracer}", "end that process first, such as a debugger"
        )
    if status.get("State", "").startswith(("Z", "X")):  # zombie, dead
        raise ProcessLookupError(process.pid)
    if len(status.get("NSpid", "").split()) > 1:
        raise AstbtdError(
            f"process {process.pid} runs in a pid namespace of its own", "install astbtd in the container it runs in"
        )
