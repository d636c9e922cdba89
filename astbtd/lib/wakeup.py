"""Wakes a sleeping loop: for signals, and from other threads."""

import os
import signal
import socket
from collections.abc import Sequence

_FROM_A_THREAD = b"\0"


class WakeupDescriptor:
    """A descriptor that becomes readable when one of `signals` arrives or `wake` is called."""

    def __init__(self, signals: Sequence[signal.Signals]) -> None:
        self._signals = signals
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def __enter__(self) -> "WakeupDescriptor":
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in self._signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._read.close()
        self._write.close()

    def fileno(self) -> int:
        """What to wait on."""
        return self._read.fileno()

    def wake(self) -> None:
        """Wakes the loop from any thread."""
        try:
            os.write(self._write.fileno(), _FROM_A_THREAD)
        except OSError:  # full: it is awake already; closed: it has ended
            return

    def arrived(self) -> set[signal.Signals]:
        """The signals that arrived since the last call."""
        try:
            numbers = self._read.recv(4096)
        except BlockingIOError:
            return set()
        return {signal.Signals(number) for number in numbers if number}
