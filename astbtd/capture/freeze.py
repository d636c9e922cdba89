"""Stop all threads of a process for the duration of a `with` block, and resume them whatever happens.

A stopped thread cannot start another: once all known threads are stopped and no new one has appeared, none can appear.
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

_STOP_TIMEOUT = 0.5  # seconds for a thread to stop; on a loaded machine it must be scheduled first
_UNINTERRUPTIBLE_TIMEOUT = 0.05  # seconds, if all others wait for a disk or file server: such threads do not stop
_POLL_INTERVAL = 0.0001  # seconds
_UNINTERRUPTIBLE = b"D"  # the states of proc_pid_stat(5)
_ENDED = (b"Z", b"X", b"")  # zombie, dead, gone


@dataclass
class StoppedThreads:
    """The threads of a process while it is frozen.

    `stopped` maps each stopped thread to the signal to resume it with; `running` are threads that did not stop in
    time; `seconds` is the time from the first request to stop until the last thread was resumed.
    """

    process: LiveProcess
    stopped: dict[int, int] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    seconds: float = 0.0
    _seized: set[int] = field(default_factory=set)
    _ended: set[int] = field(default_factory=set)

    def seize(self) -> set[int]:
        """Become the tracer of all threads that are not traced yet, and return them. They continue to run."""
        new = set(self.process.threads()) - self._seized - self._ended
        for tid in new:
            try:
                ptrace.seize(tid)
                self._seized.add(tid)
            except OSError as error:
                self._handle_seize_error(tid, error)
        return new & self._seized

    def stop(self, seized: set[int]) -> None:
        """Stop all threads: first those in `seized`, then any that appeared in the meantime."""
        started = time.monotonic()
        while seized:
            for tid in seized:
                with suppress(ProcessLookupError):
                    ptrace.interrupt(tid)
            self.running |= seized
            while self._should_wait(time.monotonic() - started):
                time.sleep(_POLL_INTERVAL)
            seized = self.seize()
        if self.stopped:
            return
        if not self.running:
            raise ProcessLookupError(self.process.pid)
        raise AstbtdError(f"no thread of process {self.process.pid} could be stopped", "see `dmesg` for disk errors")

    def release(self) -> None:
        """Resume all stopped threads. The kernel detaches the others when the tracing thread ends."""
        for tid, signal in self.stopped.items():
            with suppress(ProcessLookupError):
                ptrace.detach(tid, signal)

    def _should_wait(self, waited: float) -> bool:
        """Return whether more threads are likely to stop; `waited` is in seconds."""
        self._collect_stopped()
        if not self.running or waited > _STOP_TIMEOUT:
            return False
        if waited < _UNINTERRUPTIBLE_TIMEOUT:
            return True
        return any(self._state(tid) != _UNINTERRUPTIBLE for tid in self.running)

    def _collect_stopped(self) -> None:
        for tid in list(self.running):
            try:
                signal = ptrace.poll_stop(tid)
            except ChildProcessError:
                self.running.discard(tid)
                self._ended.add(tid)
                continue
            if signal is not None:
                self.running.discard(tid)
                self.stopped[tid] = signal

    def _handle_seize_error(self, tid: int, error: OSError) -> None:
        """Ignore a thread that has ended. Raise AstbtdError if tracing is not permitted."""
        self._ended.add(tid)
        if error.errno == errno.EPERM and self._state(tid) not in _ENDED:
            raise AstbtdError(
                f"process {self.process.pid} cannot be traced: {error.strerror}", "use sudo, and end other debuggers"
            ) from error

    def _state(self, tid: int) -> bytes:
        """Return the state of a thread as in proc_pid_stat(5), empty if it has ended."""
        try:
            return self.process.read(f"task/{tid}/stat").rpartition(b")")[2].split()[0]
        except OSError:
            return b""


@contextmanager
def freeze(process: LiveProcess) -> Iterator[StoppedThreads]:
    """Stop all threads of the process until the block ends. Raise AstbtdError; ProcessLookupError if it ends.

    Only the calling thread is the tracer: it must end soon afterwards.
    """
    threads = StoppedThreads(process)
    _raise_own_priority()
    seized: set[int] = set()
    while new := threads.seize():
        seized |= new
    started = time.monotonic()
    try:
        threads.stop(seized)
        yield threads
    finally:
        threads.release()
        threads.seconds = time.monotonic() - started


def _raise_own_priority() -> None:
    """Use real-time scheduling for this thread if permitted, since the process is stopped while it works."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
