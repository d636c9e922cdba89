"""Writes the texts of events for people. Everything that may come from the crashed process is redacted here."""

from datetime import UTC

from astbtd.diagnosis.report_summary import SummaryLine, describe_function, format_lines, summary_lines
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_utc, pluralize
from astbtd.model.crash import Crash
from astbtd.model.deadlock_capture import Deadlock, Finding
from astbtd.model.diagnosis import Kind
from astbtd.notify.events import Correction, Event, EventKind
from astbtd.notify.loops import LoopChange
from astbtd.pipeline.crash_site import site_key
from astbtd.store.redaction.redactor import Redactor

_MAX_TITLE = 150  # characters
_PLAIN = {
    "SIGSEGV": "fault",
    "SIGBUS": "bus error",
    "SIGABRT": "abort",
    "SIGFPE": "division error",
    "SIGILL": "illegal instruction",
}
_ADVICE = {
    Finding.DEADLOCK: "A deadlock does not end by itself: restart Asterisk.",
    Finding.STUCK: "If calls still fail, repeat the capture with `astbtd deadlock`, or restart Asterisk.",
}

WORTH_A_MESSAGE = frozenset(_ADVICE)
"""The findings of captures that people are told of."""


def crash_event(crash: Crash, kind: EventKind, correction: Correction | None = None) -> Event:
    """Return the event of a crash, with the first screen of its report."""
    redactor = Redactor()
    title = _title(redactor.text(_describe_crash(crash)))
    return Event(kind, crash_key(crash), crash.crashed_at, title, _first_screen(crash, redactor), correction)


def crash_key(crash: Crash) -> str:
    """Return what a crash is compared by: its signature, else its site, else nothing that others share."""
    if crash.foreign:
        return "foreign"
    if crash.signature:
        return crash.signature.id
    return site_key(crash.process, crash.site) or crash.id


def loop_event(change: LoopChange) -> Event:
    """Return the event of a loop that began or ended."""
    loop = change.loop
    times = pluralize(loop.crashes, "crash", "crashes")
    what = Redactor().text(loop.what)
    if change.started:
        title = f"Asterisk crashes in a loop: {what}"
        body = f"{times} since {format_utc(loop.since)}. A message follows when the loop has ended.\n"
        return Event(EventKind.LOOP_STARTED, loop.newest, loop.until, _title(title), body)
    title = f"The crash loop has ended: {what}"
    body = f"{times} until {format_utc(loop.until)}. `astbtd list` shows them.\n"
    return Event(EventKind.LOOP_ENDED, loop.newest, loop.until, _title(title), body)


def capture_event(capture: Deadlock) -> Event:
    """Return the event of a captured deadlock."""
    redactor = Redactor()
    summary = redactor.text(capture.summary)
    lines = [
        SummaryLine("Asterisk hangs", summary),
        SummaryLine("When", f"{format_utc(capture.captured_at)} on {capture.host} (capture {capture.id})"),
        SummaryLine("Next", _ADVICE[capture.finding]),
    ]
    title = _title(f"Asterisk hangs: {summary}")
    return Event(EventKind.DEADLOCK, capture.id, capture.captured_at.astimezone(UTC), title, f"{format_lines(lines)}\n")


def _describe_crash(crash: Crash) -> str:
    if crash.foreign:
        return f"A foreign program crashed, not the PBX: {crash.what}"
    if crash.diagnosis.kind is Kind.SENT and crash.diagnosis.headline:
        return crash.diagnosis.headline
    signal = crash.signal.name if crash.signal else "an unknown signal"
    return f"Asterisk crashed: {_PLAIN.get(signal, signal)} in {describe_function(crash.diagnosis)}"


def _first_screen(crash: Crash, redactor: Redactor) -> str:
    """Return the first screen of the report. It is redacted before its lines are wrapped, which would split values."""
    lines = [SummaryLine(line.label, redactor.text(line.text)) for line in summary_lines(crash)]
    return f"{format_lines(lines)}\n"


def _title(text: str) -> str:
    """Return a text as one line of limited length."""
    line = printable_line(text)
    return line if len(line) <= _MAX_TITLE else line[: _MAX_TITLE - 3] + "..."
