"""Timers for a loop that sleeps until the next one is due."""

import time
from collections.abc import Callable
from dataclasses import dataclass

_LONGEST_SLEEP = 86400.0  # epoll takes no more than 24 days


@dataclass
class _Timer:
    due: float
    every: float
    call: Callable[[], None]


class Timers:
    """Named timers on the monotonic clock; all times in seconds."""

    def __init__(self) -> None:
        self._timers: dict[str, _Timer] = {}

    def every(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Calls `call` every so often from now on, in place of an earlier timer of that name."""
        self._timers[name] = _Timer(time.monotonic() + seconds, seconds, call)

    def only_while(self, wanted: bool, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Has such a timer if it is wanted: one that is there goes on."""
        if not wanted:
            self.cancel(name)
        elif name not in self:
            self.every(name, seconds, call)

    def cancel(self, name: str) -> None:
        """Ends a timer; one that is not there is no error."""
        self._timers.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._timers

    def until_next(self) -> float | None:
        """How long to sleep, a day at most; None without end."""
        due = min((timer.due for timer in self._timers.values()), default=None)
        return None if due is None else min(max(0.0, due - time.monotonic()), _LONGEST_SLEEP)

    def run_due(self) -> None:
        """Calls what is due, once each, however late."""
        now = time.monotonic()
        for timer in list(self._timers.values()):
            if timer.due <= now:
                timer.due = now + timer.every
                timer.call()
