"""Tells the time to what cannot be undone, once the clock has proven steady.

The clock of a PBX without a working battery may be years off until the network sets it; whoever believed it for that
minute would find everything too old.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

_PROOF = 1800.0  # seconds of steady going until the clock is believed
_PROOF_OF_ANOTHER_DAY = 86400.0  # and after it was set to another day, which somebody may have done by mistake
_JUMP = 60.0  # seconds; less than that is the slewing of NTP
_FALSIFIES = 86400.0  # seconds by which a clock is wrong that makes ages of days wrong


def _since_boot() -> float:
    """The seconds since the machine was started, sleep included, whatever the clock was set to meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class TrustedClock:
    """The wall clock, held against the time that really passed; both in seconds."""

    def __init__(self, wall: Callable[[], float] = time.time, since_boot: Callable[[], float] = _since_boot) -> None:
        self._wall = wall
        self._since_boot = since_boot
        self._offset = wall() - since_boot()
        self._believed_from = since_boot() + _PROOF
        self._wrong: tuple[datetime, datetime] | None = None

    def now(self) -> datetime | None:
        """The time; None before the clock was watched for half an hour, also since it jumped; for a day, if by days."""
        wall, since_boot = self._wall(), self._since_boot()
        jump = abs(wall - since_boot - self._offset)
        if jump > _JUMP:
            self._believed_from = since_boot + _PROOF
        if jump > _FALSIFIES:
            self._believed_from = since_boot + _PROOF_OF_ANOTHER_DAY
            self._wrong = _moment(self._offset), _moment(self._offset + since_boot)
        self._offset = wall - since_boot
        return _moment(wall) if since_boot >= self._believed_from else None

    def take_wrong(self) -> tuple[datetime, datetime] | None:
        """What the clock said from the machine's start until it was set to a time that is days off; tells it once."""
        wrong, self._wrong = self._wrong, None
        return wrong


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
