"""Writes report.txt for people: what happened, whether the backtrace is good enough to file, and what to do.

All text from the crashed process is escaped, so that the report is safe to show on any terminal.
"""

import signal
import textwrap
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_thread import find_crash_thread
from astbtd.diagnosis.frame_folding import fold_frames
from astbtd.lib.escaping import printable, printable_line
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Asterisk, Crash, CrashSignature, Section, Signal, Verdict
from astbtd.model.diagnosis import Diagnosis, Kind, Signature

TRACKER = "https://github.com/asterisk/asterisk/issues"

_WIDTH = 100
_MAX_NAME_LENGTH = 100
_MAX_FRAMES = 200
_MAX_RAW_TEXT = 1 << 16  # characters
_CONTINUATION = " " * 11  # as wide as the labels
_ANSWERS = {
    Verdict.USABLE: "yes",
    Verdict.PARTIAL: "partly; see the advice below",
    Verdict.UNUSABLE: "no; follow the advice below first",
}
_NOTABLE = ("jumped to", "stack is overwritten", "stack overflow", "which was replaced")  # in headline.py
_FILE_ISSUE = f"Search {TRACKER} for the function. If nobody has reported it, file an issue."


def render(crash: Crash, crash_thread_text: str) -> str:
    """Return the report of `crash`. `crash_thread_text` is gdb's `bt` or `bt full` of its thread; it may be junk."""
    advice = crash.diagnosis.advice or (_FILE_ISSUE,)
    parts = [
        summary(crash),
        _section("What to do", _number(advice)),
        _section(f"The crash {_describe_thread(crash)}", _list_frames(crash_thread_text)),
        _section("How to file an issue", _number(_filing_steps(crash))),
    ]
    return "\n\n".join(parts) + "\n"


def summary(crash: Crash) -> str:
    """Return the first part of the report, which has all that matters."""
    return "\n".join(_summary_lines(crash))


def render_diagnosis(diagnosis: Diagnosis) -> str:
    """Return what the text of a backtrace alone says, in the form of a report: summary and advice."""
    lines = [
        _wrap("", diagnosis.headline or f"{diagnosis.signal or 'Crash'} in {_describe_function(diagnosis)}"),
        *_grade_lines(diagnosis),
        _wrap("Parsed:    ", _describe_text(diagnosis)),
        *_signature_line(diagnosis.signature),
        *_reason_lines(diagnosis),
    ]
    parts = ["\n".join(lines)]
    if diagnosis.advice:
        parts.append(_section("What to do", _number(diagnosis.advice)))
    return "\n\n".join(parts) + "\n"


def _signature_line(signature: Signature | CrashSignature | None) -> Iterator[str]:
    if signature is not None:
        yield _wrap("Signature: ", f"{signature.text} ({signature.id})")


def _summary_lines(crash: Crash) -> Iterator[str]:
    yield from _verdict_lines(_describe_crash(crash), crash.diagnosis)
    yield _wrap("When:      ", f"{_format_time(crash.crashed_at)} on {crash.host} (crash {crash.id})")
    yield _wrap("Version:   ", _describe_version(crash.asterisk))
    if crash.signature is not None:
        yield _wrap("Seen:      ", _describe_occurrence(crash.signature))
    yield from _signature_line(crash.signature)
    yield from _reason_lines(crash.diagnosis)  # last, because there may be many


def _verdict_lines(what: str, diagnosis: Diagnosis) -> Iterator[str]:
    verb = "hangs" if diagnosis.deadlock else "crashed"
    if diagnosis.kind is Kind.SENT and diagnosis.headline:
        yield _wrap("", diagnosis.headline)
    else:
        yield _wrap(f"Asterisk {verb}: ", what)
    if _is_more_than_a_fault(diagnosis):
        yield _wrap("What:      ", diagnosis.headline or "")
    yield from _grade_lines(diagnosis)


def _is_more_than_a_fault(diagnosis: Diagnosis) -> bool:
    """Return True if the headline of a crash says more than the signal and the function."""
    if diagnosis.kind is not Kind.CRASH or not diagnosis.headline:
        return False
    return any(words in diagnosis.headline for words in _NOTABLE)


def _grade_lines(diagnosis: Diagnosis) -> Iterator[str]:
    grade = f"{diagnosis.verdict}, quality {diagnosis.quality:g} of 1"
    yield _wrap("Good enough to file? ", f"{_ANSWERS[diagnosis.verdict]} ({grade})")
    yield _wrap("Next:      ", diagnosis.advice[0] if diagnosis.advice else _FILE_ISSUE)


def _reason_lines(diagnosis: Diagnosis) -> Iterator[str]:
    label = "Why:       "
    for reason in diagnosis.reasons:
        yield _wrap(label, reason)
        label = _CONTINUATION


def _describe_text(diagnosis: Diagnosis) -> str:
    threads = pluralize(diagnosis.threads, "thread", "threads")
    frames = pluralize(diagnosis.frames, "frame", "frames")
    if diagnosis.kind is Kind.INCOMPLETE or not diagnosis.frames:
        return threads
    which = {Kind.CRASH: "crashed", Kind.SENT: "crashed", Kind.DEADLOCK: "waiting"}.get(diagnosis.kind or Kind.CRASH)
    return f"{threads}; {frames} in the {which or 'first'} thread"


def _describe_crash(crash: Crash) -> str:
    name = crash.signal.name if crash.signal else crash.diagnosis.signal
    what = _describe_signal(name, crash.diagnosis)
    details = _signal_details(crash.signal) if crash.signal else ""
    if details:
        what += f" ({details})"
    return f"{what} in {_describe_function(crash.diagnosis)}"


def _signal_details(crash_signal: Signal) -> str:
    description = signal.strsignal(crash_signal.number)
    address = f"address {crash_signal.address}" if crash_signal.address else None
    return ", ".join(filter(None, (description, address)))


def _describe_signal(name: str | None, diagnosis: Diagnosis) -> str:
    if name:
        return name
    return "it waits" if diagnosis.deadlock else "unknown signal"


def _describe_function(diagnosis: Diagnosis) -> str:
    return _shorten(diagnosis.crash_function or "an unknown function (no symbols)")


def _describe_version(asterisk: Asterisk) -> str:
    version = f"Asterisk {asterisk.version}" if asterisk.version else "unknown"
    if asterisk.dont_optimize is None:
        return version
    return f"{version}, built {'with' if asterisk.dont_optimize else 'without'} DONT_OPTIMIZE"


def _describe_occurrence(signature: CrashSignature) -> str:
    after = f", first after version {signature.after_version}" if signature.after_version else ""
    if signature.occurrence <= 1:
        return f"for the first time{after}"
    return f"{signature.occurrence} times since {_format_time(signature.first_seen)}{after}"


def _describe_thread(crash: Crash) -> str:
    number = crash.diagnosis.crash_thread
    return "thread" if number is None else f"thread (gdb's thread {number} of {crash.diagnosis.threads})"


def _list_frames(text: str) -> str:
    """Return the thread's frames without their local variables, or the text itself if it has no frames."""
    thread = find_crash_thread(parse(text))
    if not thread:
        return printable(text[:_MAX_RAW_TEXT]).strip("\n") or "gdb printed nothing."
    shown = thread.frames[:_MAX_FRAMES]
    folded = fold_frames(shown)
    lines = [each if isinstance(each, str) else printable_line(each.text) for each in folded]
    omitted = thread.frame_count - len(shown)
    if omitted:
        lines.append(f"... and {omitted} more frames, in {Section.BACKTRACE}")
    return "\n".join(lines)


def _filing_steps(crash: Crash) -> Iterator[str]:
    function = crash.diagnosis.crash_function
    yield f"Search {TRACKER} for {_shorten(function) if function else 'the functions above'} first."
    yield (
        "If nobody has reported it, open an issue there: the version, what Asterisk was doing, what changed last. "
        "`astbtd report ID` prints the address of a form with what is known filled in."
    )
    yield f"Attach {Section.BACKTRACE} to the issue as a file. Do not paste it into the text."
    yield (
        "Never attach the core: it contains passwords and calls. Read what you attach before you do: it may contain "
        "some as well. `astbtd bundle ID --redact` packs the text files without what it recognizes as private."
    )


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _number(lines: Iterable[str]) -> str:
    return "\n".join(_wrap(f"{number}. ", line) for number, line in enumerate(lines, 1))


def _wrap(label: str, text: str) -> str:
    return textwrap.fill(
        printable_line(text),
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 3] + "..."


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
