"""Building blocks of a main loop: timers, and a descriptor that wakes a loop which sleeps in select or epoll."""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LONGEST_SLEEP = 86400.0  # epoll accepts a timeout of at most 24 days
_WAKE_BYTE = b"\0"  # never a signal number


@dataclass
class _Timer:
    due: float
    interval: float
    callback: Callable[[], None]


class Timers:
    """Named periodic timers on the monotonic clock; all times in seconds."""

    def __init__(self) -> None:
        self._timers: dict[str, _Timer] = {}

    def schedule(self, name: str, interval: float, callback: Callable[[], None]) -> None:
        """Call `callback` at this interval from now on. An earlier timer of the same name is replaced."""
        self._timers[name] = _Timer(time.monotonic() + interval, interval, callback)

    def schedule_while(self, wanted: bool, name: str, interval: float, callback: Callable[[], None]) -> None:
        """Keep a timer running as long as this is called with `wanted` true. A running timer is not restarted."""
        if not wanted:
            self.cancel(name)
        elif name not in self:
            self.schedule(name, interval, callback)

    def cancel(self, name: str) -> None:
        """Remove a timer. An unknown name is not an error."""
        self._timers.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._timers

    def seconds_until_next(self) -> float | None:
        """Return the time until the next timer is due, at most one day; None if there is no timer."""
        due = min((timer.due for timer in self._timers.values()), default=None)
        if due is None:
            return None
        remaining = max(0.0, due - time.monotonic())
        return min(remaining, _LONGEST_SLEEP)

    def run_due(self) -> None:
        """Call each timer that is due once, however late it is."""
        now = time.monotonic()
        for timer in list(self._timers.values()):  # a callback may schedule or cancel timers
            if timer.due <= now:
                timer.due = now + timer.interval
                timer.callback()


class WakeupDescriptor:
    """A descriptor that becomes readable when one of `signals` arrives or `wake` is called.

    Signals are caught while the object is used as a context manager. If they were blocked before, in order not to be
    lost during the start, they are unblocked then.
    """

    def __init__(self, signals: Sequence[signal.Signals]) -> None:
        self._signals = signals
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def __enter__(self) -> "WakeupDescriptor":
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._previous_handlers = {number: signal.signal(number, lambda *_: None) for number in self._signals}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._read.close()
        self._write.close()

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._read.fileno()

    def wake(self) -> None:
        """Wake the loop. May be called in any thread."""
        try:
            os.write(self._write.fileno(), _WAKE_BYTE)
        except OSError:  # the buffer is full: the loop is awake already; or the socket is closed: the loop has ended
            return

    def take_signals(self) -> set[signal.Signals]:
        """Return the signals that arrived since the last call."""
        try:
            received = self._read.recv(4096)
        except BlockingIOError:
            return set()
        return {signal.Signals(number) for number in received if number}


def only_wake_up() -> None:
    """Do nothing. The loop wakes up for the timer, and does what is due in its next round."""
