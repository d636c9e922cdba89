"""Writes the journal entries of astbtd. Each kind of event has a stable MESSAGE_ID.

Entries that the journal does not accept are kept in `pending` and sent later. The exception is a crash: its core stays
claimed until the entry is written, so the caller retries.
"""

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from astbtd.announce import systemd
from astbtd.errors import AstbtdError, BadConfiguration
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_local, pluralize
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import CoreState, Crash, ExtractionOutcome
from astbtd.model.crash_loop import CrashLoop
from astbtd.model.deadlock_capture import Deadlock, Finding

_MAX_VALUE_LENGTH = 4096
_MAX_PENDING = 1000
_CAPTURE_ADVICE = {
    Finding.DEADLOCK: "A deadlock does not end by itself: restart Asterisk.",
    Finding.STUCK: "If the threads still wait for the same locks in a second capture, restart Asterisk.",
    Finding.NONE: "No thread waits for a lock that another thread holds: the capture gives no reason to restart.",
    Finding.UNKNOWN: "The capture does not show who holds which lock. If calls still fail, repeat it: astbtd deadlock.",
}
"""What the explanation of a capture advises, by its finding."""


class Event(Enum):
    """The kinds of journal entry, by MESSAGE_ID. The ids are documented and never change."""

    CRASH_COLLECTED = "308e4492d2224abeb4594329b574afc9"
    FOREIGN_CRASH_COLLECTED = "b3c8f0d1a5be4f6f9e0d7c52a1764f38"
    CRASH_USABLE = "3d5d0347bbd44fac833ab40622c4acf2"
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
    """The syslog priorities in use."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


@dataclass(frozen=True)
class _Entry:
    message: str
    priority: Priority
    fields: Mapping[str, str]

    def send(self) -> None:
        """Write the entry to the journal. Raise JournalUnavailable."""
        systemd.send(self.message, self.priority, dict(self.fields))


class PendingEntries:
    """A queue of entries that the journal has not accepted yet. Thread-safe.

    It holds up to 1000 entries; when it is full, the oldest are dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[_Entry] = deque(maxlen=_MAX_PENDING)

    def send(self, message: str, priority: Priority, fields: Mapping[str, str]) -> None:
        """Send an entry after all that are queued, now or later."""
        with self._lock:
            self._queue.append(_Entry(message, priority, fields))
        self.deliver()

    def deliver(self) -> bool:
        """Send all queued entries; return False if the journal does not accept them."""
        with self._lock:
            while self._queue:
                try:
                    self._queue[0].send()
                except systemd.JournalUnavailable:
                    return False
                self._queue.popleft()
            return True

    def __len__(self) -> int:
        """Return the number of queued entries."""
        return len(self._queue)


pending = PendingEntries()
"""Entries about anything but a crash that the journal has not accepted yet."""


def announce_crash(crash: Crash, directory: str) -> None:
    """Announce one collected crash, and its failed extraction if it failed. Raise JournalUnavailable."""
    fields = _crash_fields(crash, directory)
    _make_entry(Event.CRASH_COLLECTED, Priority.CRITICAL, crash_line(crash, directory), fields).send()
    if crash.extraction.ended is not ExtractionOutcome.OK:
        notes = "; ".join(crash.extraction.notes) or f"see {directory}/gdb.log"
        failure = f"gdb did not finish ({crash.extraction.ended}) on crash {crash.id}"
        if crash.extraction.awaits_gdb:
            failure = f"crash {crash.id} is extracted when gdb works"
        message = f"{failure}: {notes}"
        _send(Event.EXTRACTION_FAILED, Priority.WARNING, message, fields)


def announce_usable_crash(crash: Crash, directory: str) -> None:
    """Announce that a repeated extraction has made the backtrace of a crash usable."""
    message = f"the backtrace of crash {crash.id} is usable now: {crash.what}: {directory}"
    _send(Event.CRASH_USABLE, Priority.NOTICE, message, _crash_fields(crash, directory))


def announce_foreign_crash(crash: Crash, directory: str) -> None:
    """Announce the crash of a program that is not the PBX. Raise JournalUnavailable."""
    program = crash.process.executable or "an unknown program"
    user = "unknown" if crash.process.uid is None else str(crash.process.uid)
    message = f"a foreign program crashed, not the PBX: {program}, user id {user}, {crash.what}: {directory}"
    _make_entry(Event.FOREIGN_CRASH_COLLECTED, Priority.NOTICE, message, _crash_fields(crash, directory)).send()


def announce_earlier_crashes(ids: Sequence[str], store: str) -> None:
    """Announce, in one entry, the crashes whose cores existed when astbtd was first started."""
    crashes = "an earlier crash" if len(ids) == 1 else "earlier crashes"
    message = f"collected {pluralize(len(ids), 'core', 'cores')} from {crashes}; see astbtd list"
    _send(Event.WAITING_CORES_COLLECTED, Priority.NOTICE, message, {"ASTBTD_ID": " ".join(ids), "ASTBTD_PATH": store})


def announce_loop_start(loop: CrashLoop, store: str) -> None:
    """Announce that Asterisk crashes repeatedly in the same way."""
    times = pluralize(loop.crashes, "time", "times")
    message = (
        f"crash loop: {loop.what}, {times} since {format_local(loop.since)}; "
        "further crashes of this kind are recorded, but not analyzed in full"
    )
    _send(Event.CRASH_LOOP_ENTERED, Priority.CRITICAL, message, _loop_fields(loop, store))


def announce_loop_end(loop: CrashLoop, store: str) -> None:
    """Announce the end of a crash loop with the number of crashes."""
    crashes = pluralize(loop.crashes, "crash", "crashes")
    message = (
        f"the crash loop has ended: {loop.what}, {crashes} "
        f"between {format_local(loop.since)} and {format_local(loop.until)}"
    )
    _send(Event.CRASH_LOOP_ENDED, Priority.WARNING, message, _loop_fields(loop, store))


def announce_refused_core(path: str, reason: str) -> None:
    """Announce that a core is not collected, and why."""
    _send(Event.CORE_REFUSED, Priority.NOTICE, f"{path} is ignored: {reason}", {"ASTBTD_PATH": path})


def announce_retention(removed: str) -> None:
    """Announce what retention has removed."""
    _send(Event.RETENTION_REMOVED, Priority.INFO, f"retention removed {removed}", {})


def announce_deadlock(record: Deadlock, directory: str) -> None:
    """Announce a capture of a running Asterisk."""
    priority = Priority.CRITICAL if record.finding is Finding.DEADLOCK else Priority.WARNING
    paused = sum(sample.stopped_seconds for sample in record.samples)
    message = f"captured Asterisk: {record.summary}; paused for {paused * 1000:.0f} ms in total: {directory}"
    fields = {
        "ASTBTD_ID": record.id,
        "ASTBTD_FINDING": record.finding.value,
        "ASTBTD_ADVICE": _CAPTURE_ADVICE[record.finding],
        "ASTBTD_PATH": directory,
        "ASTBTD_RECORD": json.dumps(to_plain(record)),
    }
    _send(Event.DEADLOCK_CAPTURED, priority, message, fields)


def announce_rejected_configuration(error: AstbtdError) -> None:
    """Announce that a changed configuration is not used."""
    reason = error.message
    if isinstance(error, BadConfiguration):
        # The journal message is one line; `astbtd check-config` prints all errors.
        reason = f"{pluralize(len(error.problems), 'error', 'errors')}, first: {error.problems[0]}"
    message = f"configuration rejected, keeping the previous one: {reason}; run astbtd check-config"
    _send(Event.CONFIGURATION_REJECTED, Priority.ERROR, message, {})


def announce_failed_check(name: str, found: str, remedy: str) -> None:
    """Announce why the next crash will not give a usable backtrace, and what to do about it."""
    message = f"the next crash will not give a usable backtrace: {name}: {found}; hint: {remedy}"
    _send(Event.CHECK_FAILED, Priority.ERROR, message, {"ASTBTD_CHECK": name, "ASTBTD_REMEDY": remedy})


def log(message: str, priority: Priority = Priority.INFO) -> None:
    """Write an entry that is not one of the events."""
    pending.send(_to_line(message), priority, {})


def crash_line(crash: Crash, directory: str) -> str:
    """Return one line about a crash: signal, function, verdict, directory."""
    if crash.core.state is CoreState.LOST:
        return f"Asterisk crashed, but its core {crash.core.path} is lost: {directory}"
    if crash.core.state is CoreState.NONE:
        signal = crash.signal.name if crash.signal else "an unknown signal"
        return f"Asterisk was terminated by {signal}, but no core appeared: {directory}"
    before = f" (announced before without its core, as {crash.replaces.id})" if crash.replaces else ""
    return f"Asterisk crashed: {crash.what}; backtrace {crash.diagnosis.verdict}: {directory}{before}"


def _crash_fields(crash: Crash, directory: str) -> dict[str, str]:
    return {
        "ASTBTD_ID": crash.id,
        "ASTBTD_SIGNATURE": crash.signature.id if crash.signature else "",
        "ASTBTD_SIGNAL": crash.signal.name if crash.signal else "",
        "ASTBTD_CRASH_FUNCTION": crash.diagnosis.crash_function or "",
        "ASTBTD_VERDICT": crash.diagnosis.verdict,
        "ASTBTD_OCCURRENCE": str(crash.signature.occurrence) if crash.signature else "",
        "ASTBTD_REPLACES": crash.replaces.id if crash.replaces else "",
        "ASTBTD_WHAT": crash.what,
        "ASTBTD_SEEN": _describe_occurrence(crash),
        "ASTBTD_PATH": directory,
        "ASTBTD_RECORD": json.dumps(to_plain(crash)),
    }


def _describe_occurrence(crash: Crash) -> str:
    if crash.signature is None:
        return "not grouped with other crashes: no frame tells them apart"
    if crash.signature.occurrence <= 1:
        return f"for the first time (signature {crash.signature.id})"
    since = format_local(crash.signature.first_seen)
    return f"{crash.signature.occurrence} times since {since} (signature {crash.signature.id})"


def _loop_fields(loop: CrashLoop, store: str) -> dict[str, str]:
    return {
        "ASTBTD_SIGNATURE": loop.signature or "",
        "ASTBTD_CRASHES": str(loop.crashes),
        "ASTBTD_PATH": store,
        "ASTBTD_LIST": f"astbtd list --signature {loop.signature}" if loop.signature else "astbtd list",
    }


def _send(event: Event, priority: Priority, message: str, fields: Mapping[str, str]) -> None:
    entry = _make_entry(event, priority, message, fields)
    pending.send(entry.message, entry.priority, entry.fields)


def _make_entry(event: Event, priority: Priority, message: str, fields: Mapping[str, str]) -> _Entry:
    """Return an entry with printable, single-line values. ASTBTD_RECORD is JSON and not changed."""
    lines = {name: value if name == "ASTBTD_RECORD" else _to_line(value) for name, value in fields.items()}
    return _Entry(_to_line(message), priority, {"MESSAGE_ID": event.value, **lines})


def _to_line(text: str) -> str:
    return printable_line(text[:_MAX_VALUE_LENGTH])
