"""Writes report.txt for people: what happened, whether the backtrace is good enough to file, and what to do.

All text from the crashed process is escaped, so that the report is safe to show on any terminal.
"""

from collections.abc import Iterator, Sequence

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_thread import find_crash_thread
from astbtd.diagnosis.frame_folding import fold_frames
from astbtd.diagnosis.report_summary import (
    TRACKER,
    SummaryLine,
    describe_function,
    format_lines,
    grade_lines,
    next_steps,
    reason_lines,
    shorten,
    signature_line,
    summary,
    with_advice_if_foreign,
    wrap,
)
from astbtd.lib.escaping import printable, printable_line
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Crash, Section
from astbtd.model.diagnosis import Diagnosis, Kind

_MAX_FRAMES = 200
_MAX_RAW_TEXT = 1 << 16  # characters


def render(crash: Crash, crash_thread_text: str) -> str:
    """Return the report of `crash`. `crash_thread_text` is gdb's `bt` or `bt full` of its thread; it may be junk."""
    crash = with_advice_if_foreign(crash)
    parts = [
        summary(crash),
        *_further_steps(next_steps(crash.diagnosis, crash)[1:]),
        _section(f"The crash {_describe_thread(crash)}", _list_frames(crash_thread_text)),
    ]
    if steps := filing_steps(crash):
        parts.append(_section("How to file an issue", _number(steps)))
    return "\n\n".join(parts) + "\n"


def render_diagnosis(diagnosis: Diagnosis) -> str:
    """Return what the text of a backtrace alone says, in the form of a report: summary and advice."""
    lines = [
        SummaryLine("", diagnosis.headline or f"{diagnosis.signal or 'Crash'} in {describe_function(diagnosis)}"),
        *grade_lines(diagnosis),
        SummaryLine("Parsed", _describe_text(diagnosis)),
        *signature_line(diagnosis.signature),
        *reason_lines(diagnosis),
    ]
    return "\n\n".join((format_lines(lines), *_further_steps(next_steps(diagnosis)[1:]))) + "\n"


def _further_steps(further: Sequence[str]) -> Iterator[str]:
    """Yield the section with the steps after the next one, which the summary has."""
    if further:
        yield _section("What to do then", _number(further, first=2))


def _describe_text(diagnosis: Diagnosis) -> str:
    threads = pluralize(diagnosis.threads, "thread", "threads")
    frames = pluralize(diagnosis.frames, "frame", "frames")
    if diagnosis.kind is Kind.INCOMPLETE or not diagnosis.frames:
        return threads
    which = {Kind.CRASH: "crashed", Kind.SENT: "crashed", Kind.DEADLOCK: "waiting"}.get(diagnosis.kind or Kind.CRASH)
    return f"{threads}; {frames} in the {which or 'first'} thread"


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


def filing_steps(crash: Crash) -> tuple[str, ...]:
    """Return how to file an issue; nothing if none should be filed."""
    if crash.diagnosis.kind is Kind.SENT or crash.foreign:
        return ()
    return tuple(_filing_steps(crash))


def _filing_steps(crash: Crash) -> Iterator[str]:
    function = crash.diagnosis.crash_function
    yield f"Search {TRACKER} for {shorten(function) if function else 'the functions above'} first."
    yield (
        "If nobody has reported it, open an issue there: the version, what Asterisk was doing, what changed last. "
        f"`astbtd report {crash.id}` prints the address of a form with what is known filled in."
    )
    yield f"Attach {Section.BACKTRACE} to the issue as a file. Do not paste it into the text."
    yield (
        "Never attach the core: it contains passwords and calls. Read what you attach before you do: it may contain "
        f"some as well. `astbtd bundle {crash.id} --redact` packs the text files without what it recognizes as private."
    )


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _number(lines: Sequence[str], first: int = 1) -> str:
    return "\n".join(wrap(f"{number}. ", line) for number, line in enumerate(lines, first))
