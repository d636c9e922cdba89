"""The checks that fail, as the running daemon knows them: why the next crash will give no usable backtrace.

systemd gives the daemon's state to the unit as a credential, because the file is only root's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astbtd.diagnosis.report_summary import SummaryLine, format_lines
from astbtd.lib import json_file
from astbtd.model.daemon_state import LARGEST, STATE_FILE, UNIT_DIRECTORY, DaemonState, FailedCheck
from astbtd.notify.events import Event, EventKind
from astbtd.store.redaction.redactor import Redactor

CREDENTIAL = "daemon"
"""The name of the credential in the unit."""

_DIRECTORY = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True)
class FailingChecks:
    """An event for each check that fails."""

    events: tuple[Event, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the checks."""
        return tuple(event.key for event in self.events)


def read_checks(environment: Mapping[str, str], now: datetime, host: str) -> FailingChecks | None:
    """Return the checks that fail; None if they are not known, because no daemon runs or it has not checked yet."""
    directory = environment.get(_DIRECTORY)
    path = Path(directory) / CREDENTIAL if directory else Path(UNIT_DIRECTORY) / STATE_FILE
    try:
        state = json_file.read(path, DaemonState, LARGEST)
    except json_file.Damaged:
        return None
    return None if state.failed is None else FailingChecks(tuple(_events(state.failed, now, host)))


def _events(failed: tuple[FailedCheck, ...], now: datetime, host: str) -> Iterator[Event]:
    redactor = Redactor()
    for check in failed:
        lines = [
            SummaryLine("Check", check.name),
            SummaryLine("Found", redactor.text(check.found)),
            SummaryLine("Next", redactor.text(check.remedy) or "see `astbtd check`"),
            SummaryLine("On", host),
        ]
        title = f"The next crash will not give a usable backtrace: {check.name}"
        yield Event(EventKind.CHECK_FAILED, check.name, now, title, f"{format_lines(lines)}\n")
