"""Holds all threads of a process still for as long as a block lasts, and lets them go whatever happens.

A thread that is stopped starts no other: once all known threads are stopped and no new one has appeared, none can.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from astbtd.capture import ptrace
from astbtd.capture.live_process import LiveProcess
from astbtd.errors import AstbtdError

_PATIENCE = 0.5  # seconds for a thread to stop, which on a loaded machine has to be its turn first
_PATIENCE_WITH_DISKS = 0.05  # the same for one that waits for a disk or a server of files, and will not
_BETWEEN_LOOKS = 0.0001


@dataclass
class StoppedThreads:
    """The threads that stand still, with the signal each is to be let go with, and those that did not stop.

    `seconds` is how long: from the first that was asked to stop until the last was let go.
    """

    process: LiveProcess
    stopped: dict[int, int] = field(default_factory=dict)
    moving: set[int] = field(default_factory=set)
    seconds: float = 0.0
    _seized: set[int] = field(default_factory=set)
    _gone: set[int] = field(default_factory=set)

    def seize(self) -> set[int]:
        """Becomes the tracer of the threads that are not traced yet and returns them; they run on."""
        new = set(self.process.threads()) - self._seized - self._gone
        for tid in new:
            try:
                ptrace.seize(tid)
                self._seized.add(tid)
            except OSError as error:
                self._not_seized(tid, error)
        return new & self._seized

    def stop(self, asked: set[int]) -> None:
        """Stops all threads, of which `asked` are traced already."""
        began = time.monotonic()
        while asked:
            for tid in asked:
                with suppress(ProcessLookupError):
                    ptrace.interrupt(tid)
            self.moving |= asked
            while self._may_still_stop(time.monotonic() - began):
                time.sleep(_BETWEEN_LOOKS)
            asked = self.seize()
        if not self.stopped:
            raise ProcessLookupError(self.process.pid) if not self.moving else _not_to_be_stopped(self.process.pid)

    def release(self) -> None:
        """Lets all threads go. Those that have not stopped yet never will, once the tracing thread has ended."""
        for tid, signal in self.stopped.items():
            with suppress(ProcessLookupError):
                ptrace.detach(tid, signal)

    def _may_still_stop(self, waited: float) -> bool:
        """Whether it is worth waiting for more threads."""
        self._see_who_stopped()
        if not self.moving or waited > _PATIENCE:
            return False
        return waited < _PATIENCE_WITH_DISKS or any(self._state(tid) != b"D" for tid in self.moving)

    def _see_who_stopped(self) -> None:
        for tid in list(self.moving):
            try:
                signal = ptrace.stopped(tid)
            except ChildProcessError:
                self.moving.discard(tid)
                self._gone.add(tid)
                continue
            if signal is not None:
                self.moving.discard(tid)
                self.stopped[tid] = signal

    def _not_seized(self, tid: int, error: OSError) -> None:
        """A thread that has ended cannot be traced; neither can any where that is not allowed."""
        self._gone.add(tid)
        if error.errno == errno.EPERM and self._state(tid) not in (b"Z", b"X", b""):
            raise AstbtdError(
                f"process {self.process.pid} cannot be traced: {error.strerror}", "use sudo, and end other debuggers"
            ) from error

    def _state(self, tid: int) -> bytes:
        """A thread's state as proc_pid_stat(5) has it, nothing once it is gone."""
        try:
            return self.process.read(f"task/{tid}/stat").rpartition(b")")[2].split()[0]
        except OSError:
            return b""


@contextmanager
def standing_still(process: LiveProcess) -> Iterator[StoppedThreads]:
    """The process with all of its threads stopped. Raises AstbtdError; ProcessLookupError where it ends."""
    held = StoppedThreads(process)
    _hurry()
    asked: set[int] = set()
    while new := held.seize():
        asked |= new
    started = time.monotonic()
    try:
        held.stop(asked)
        yield held
    finally:
        held.release()
        held.seconds = time.monotonic() - started


def _hurry() -> None:
    """Lets this thread run before all others, where that is allowed: the process waits for it."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def _not_to_be_stopped(pid: int) -> AstbtdError:
    return AstbtdError(f"no thread of process {pid} could be stopped", "they wait for a disk: see `dmesg`")
