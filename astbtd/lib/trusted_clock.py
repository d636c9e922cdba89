"""A wall clock that is trusted for irreversible decisions only after it has been stable for a while.

The clock of a PBX without a working battery may be years off until the network sets it. Trusting it during that time
would make every record look too old.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

_STABLE_FOR = 1800.0  # seconds without a jump until the clock is trusted
_STABLE_AFTER_DATE_CHANGE = 86400.0  # the same after a jump by days, which may be an operator's mistake
_JUMP = 60.0  # seconds; smaller differences are NTP slewing the clock
_DATE_CHANGE = 86400.0  # seconds; a jump this large makes ages counted in days wrong


def _seconds_since_boot() -> float:
    """Return the seconds since boot, sleep included. Setting the wall clock does not affect it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class TrustedClock:
    """Compares the wall clock with the time since boot; both in seconds."""

    def __init__(
        self, wall: Callable[[], float] = time.time, since_boot: Callable[[], float] = _seconds_since_boot
    ) -> None:
        self._wall = wall
        self._since_boot = since_boot
        self._offset = wall() - since_boot()
        self._trusted_from = since_boot() + _STABLE_FOR
        self._wrong_period: tuple[datetime, datetime] | None = None

    def now(self) -> datetime | None:
        """Return the time, or None while the clock is not trusted.

        It is not trusted for half an hour after the start and after a jump, and for a day after a jump by days.
        """
        wall, since_boot = self._wall(), self._since_boot()
        jump = abs(wall - since_boot - self._offset)
        if jump > _JUMP:
            self._trusted_from = since_boot + _STABLE_FOR
        if jump > _DATE_CHANGE:
            self._trusted_from = since_boot + _STABLE_AFTER_DATE_CHANGE
            self._wrong_period = _datetime(self._offset), _datetime(self._offset + since_boot)
        self._offset = wall - since_boot
        return _datetime(wall) if since_boot >= self._trusted_from else None

    def take_wrong_period(self) -> tuple[datetime, datetime] | None:
        """Return the period during which the clock was days off, from boot until it was set, by that wrong clock.

        Each period is returned once; None if there is none.
        """
        period, self._wrong_period = self._wrong_period, None
        return period


def _datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
