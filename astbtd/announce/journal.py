"""What astbtd says in the journal: each event once, under a stable MESSAGE_ID, the whole record with it.

What the journal does not take is said later; of a crash, that is for the caller to do.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from enum import Enum, IntEnum

from astbtd.announce import systemd
from astbtd.announce.pending_entries import PendingEntries
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import counted
from astbtd.lib.serialization import plain
from astbtd.model.crash import CoreState, Crash, ExtractionOutcome
from astbtd.model.crash_loop import CrashLoop
from astbtd.model.deadlock_capture import Deadlock, Finding

_LONGEST_VALUE = 4096

later = PendingEntries()
"""What else than a crash the journal did not take yet."""


class Event(Enum):
    """The kinds of journal entry by their MESSAGE_ID; documented, never changed."""

    CRASH_COLLECTED = "308e4492d2224abeb4594329b574afc9"
    EXTRACTION_FAILED = "62b580ea50bd430fb5350bf7bd9872fc"
    WAITING_CORES_COLLECTED = "8ccc05fedbf14496a6cfbe1784035a1a"
    CORE_REFUSED = "f6f8840ad5ee45bea22c8722cbd97d48"
    RETENTION_REMOVED = "d66eb8d4c0484ed0b36431eaffd35a59"
    DEADLOCK_CAPTURED = "1438c60ce09b423f8649ceacb47eefc8"
    CRASH_LOOP_ENTERED = "7b918b561418410597902f50cf9de60c"
    CRASH_LOOP_ENDED = "2dc7be9b0557492290d9a7c544ff58ee"
    CONFIGURATION_REJECTED = "f45a312af9bd4f258a179ea1fefc0ae6"
    CHECK_FAILED = "59c92c550b7a4ab1b5cc96b05eaae856"


class Priority(IntEnum):
    """The syslog priorities that are used here."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


def crash(crash: Crash, directory: str) -> None:
    """Announces one collected crash, and its failed extraction as well if it failed. Raises Unheard."""
    fields = _crash_fields(crash, directory)
    systemd.send(*_entry(Event.CRASH_COLLECTED, Priority.CRITICAL, crash_line(crash, directory), fields))
    if crash.extraction.ended is not ExtractionOutcome.OK:
        notes = "; ".join(crash.extraction.notes) or f"see {directory}/gdb.log"
        message = f"gdb did not finish ({crash.extraction.ended}) on crash {crash.id}: {notes}"
        _send(Event.EXTRACTION_FAILED, Priority.WARNING, message, fields)


def waiting_cores(ids: Sequence[str], store: str) -> None:
    """Announces in one entry the crashes with these ids, whose cores had been waiting when astbtd was first started."""
    cores = counted(len(ids), "core", "cores")
    message = f"{cores} of earlier crashes had been waiting and are now in {store}; `astbtd list` shows them"
    _send(Event.WAITING_CORES_COLLECTED, Priority.NOTICE, message, {"ASTBTD_ID": " ".join(ids), "ASTBTD_PATH": store})


def loop_entered(loop: CrashLoop, store: str) -> None:
    """Says once that Asterisk crashes again and again in the same way."""
    times = f"{counted(loop.crashes, 'time', 'times')} since {_moment(loop.since)}"
    message = f"crash loop: {loop.what}, {times}; from now on these crashes are counted, not examined at length"
    _send(Event.CRASH_LOOP_ENTERED, Priority.CRITICAL, message, _loop_fields(loop, store))


def loop_ended(loop: CrashLoop, store: str) -> None:
    """Says how often it crashed until it stopped."""
    between = f"between {_moment(loop.since)} and {_moment(loop.until)}"
    message = f"the crash loop has ended: {loop.what}, {counted(loop.crashes, 'crash', 'crashes')} {between}"
    _send(Event.CRASH_LOOP_ENDED, Priority.WARNING, message, _loop_fields(loop, store))


def refused(path: str, reason: str) -> None:
    """Says that a core was left alone, and why."""
    _send(Event.CORE_REFUSED, Priority.NOTICE, f"{path} is left alone: {reason}", {"ASTBTD_PATH": path})


def retention(removed: str) -> None:
    """Says what a run of retention removed."""
    _send(Event.RETENTION_REMOVED, Priority.INFO, f"retention removed {removed}", {})


def deadlock(record: Deadlock, directory: str) -> None:
    """Announces one capture of a running Asterisk."""
    priority = Priority.CRITICAL if record.finding is Finding.DEADLOCK else Priority.WARNING
    stopped = sum(sample.stopped_seconds for sample in record.samples)
    message = f"Asterisk captured: {record.summary}; stopped for {stopped * 1000:.0f} ms in all: {directory}"
    fields = {
        "ASTBTD_ID": record.id,
        "ASTBTD_FINDING": record.finding.value,
        "ASTBTD_PATH": directory,
        "ASTBTD_RECORD": json.dumps(plain(record)),
    }
    _send(Event.DEADLOCK_CAPTURED, priority, message, fields)


def configuration_rejected(problems: str) -> None:
    """Says that a changed configuration is not used."""
    _send(Event.CONFIGURATION_REJECTED, Priority.ERROR, f"the old settings stay in force: {problems}", {})


def check_failed(name: str, found: str, remedy: str) -> None:
    """Says why the next crash would give no usable backtrace, and what helps."""
    message = f"the next crash gives no usable backtrace: {name}: {found}; what helps: {remedy}"
    _send(Event.CHECK_FAILED, Priority.ERROR, message, {"ASTBTD_CHECK": name, "ASTBTD_REMEDY": remedy})


def note(message: str, priority: Priority = Priority.INFO) -> None:
    """Says something that is no event of its own."""
    later.send(_short(message), priority, {})


def crash_line(crash: Crash, directory: str) -> str:
    """One line on a crash: signal, function, verdict, where to read on."""
    if crash.core.state is CoreState.LOST:
        return f"Asterisk crashed, and its core {crash.core.path} is lost: {directory}"
    return f"Asterisk crashed: {crash.what}; backtrace {crash.diagnosis.verdict}: {directory}"


def _crash_fields(crash: Crash, directory: str) -> dict[str, str]:
    return {
        "ASTBTD_ID": crash.id,
        "ASTBTD_SIGNATURE": crash.signature.id,
        "ASTBTD_SIGNAL": crash.signal.name if crash.signal else "",
        "ASTBTD_CRASH_FUNCTION": crash.diagnosis.crash_function or "",
        "ASTBTD_VERDICT": crash.diagnosis.verdict,
        "ASTBTD_OCCURRENCE": str(crash.signature.occurrence),
        "ASTBTD_PATH": directory,
        "ASTBTD_RECORD": json.dumps(plain(crash)),
    }


def _loop_fields(loop: CrashLoop, store: str) -> dict[str, str]:
    return {"ASTBTD_SIGNATURE": loop.signature, "ASTBTD_CRASHES": str(loop.crashes), "ASTBTD_PATH": store}


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _send(event: Event, priority: Priority, message: str, fields: dict[str, str]) -> None:
    later.send(*_entry(event, priority, message, fields))


def _entry(event: Event, priority: Priority, message: str, fields: dict[str, str]) -> tuple[str, int, dict[str, str]]:
    record = {"ASTBTD_RECORD": fields["ASTBTD_RECORD"]} if "ASTBTD_RECORD" in fields else {}
    escaped = {name: _short(value) for name, value in fields.items() if name not in record}
    return _short(message), priority, {"MESSAGE_ID": event.value, **escaped, **record}


def _short(text: str) -> str:
    return printable_line(text[:_LONGEST_VALUE])
