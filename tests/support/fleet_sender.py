"""Delivers the spools of many simulated hosts to an error tracker: the process that a test kills at any moment.

    python -m tests.support.fleet_sender DSN DIRECTORY...

Each directory is that of a host, as `fill_host` makes it. After each host, a line is printed. Waiting for the next
attempt takes no time, except while the tracker is down: then it ends when the tracker listens again.
"""

import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from astbtd.announce.journal import Priority
from astbtd.notify.delivery import Delivery
from astbtd.notify.payload import Notification
from astbtd.notify.sink_state import SinkStates
from astbtd.notify.sinks.sentry import SentrySink
from astbtd.notify.sinks.sentry_dsn import Dsn, parse_dsn
from astbtd.notify.spool import Spool

TIMEOUT = 600.0
_POLL = 0.2


def fill_host(directory: Path, notifications: Sequence[Notification]) -> None:
    """Write the spool of a host."""
    directory.mkdir()
    spool = Spool(directory / "spool")
    spool.prepare(0)
    spool.commit(1, notifications, lambda: None)


@dataclass
class ShortClock:
    """A clock that is put forward instead of waiting. While nothing listens at `dsn`, it waits for that."""

    dsn: Dsn
    _offset: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        """Return the time, as if all waiting had happened."""
        return datetime.now(UTC) + self._offset

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self._offset += timedelta(seconds=seconds)
        while not self._is_listening():
            time.sleep(_POLL)

    def _is_listening(self) -> bool:
        try:
            with socket.create_connection((self.dsn.host, self.dsn.port or 0), TIMEOUT):
                return True
        except ConnectionError:
            return False


def deliver_all(directory: Path, dsn: str) -> None:
    """Deliver what waits in the spool of a host, with as many attempts as it takes."""
    spool, states = Spool(directory / "spool"), SinkStates(directory / "state")
    delivery = Delivery(spool, states, ShortClock(parse_dsn(dsn)), lambda: 0.0, _log)
    sink = SentrySink(dsn, timeout=TIMEOUT)
    with states.lock():
        while any(delivery.waiting(sink)):
            delivery.run([sink])


def _log(line: str, _: Priority) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of this program


def main() -> None:
    """Deliver for all hosts, one after the other."""
    dsn, *directories = sys.argv[1:]
    for directory in directories:
        deliver_all(Path(directory), dsn)
        print(directory, flush=True)  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
