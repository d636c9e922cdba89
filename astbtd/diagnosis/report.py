"""Writes report.txt: what happened, whether the backtrace is good enough to file, and what to do, for people.

All that comes from the crashed process is made printable, so that showing the report is safe on any terminal.
"""

import signal
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_context import crash_thread
from astbtd.lib.escaping import printable, printable_line
from astbtd.lib.quantities import counted
from astbtd.model.crash import Asterisk, Crash, CrashSignature, Diagnosis, Section, Verdict

TRACKER = "https://github.com/asterisk/asterisk/issues"

_WIDTH = 100
_LONGEST_NAME = 100
_MOST_FRAMES = 200
_LONGEST_RAW_TEXT = 1 << 16
_ANSWERS = {
    Verdict.USABLE: "yes",
    Verdict.PARTIAL: "partly; see the advice below",
    Verdict.UNUSABLE: "no; follow the advice below first",
}
_FILE_IT = f"Search {TRACKER} for the function; if nobody has reported it, file it."


def render(crash: Crash, crash_thread_text: str) -> str:
    """The report of `crash`; `crash_thread_text` is gdb's `bt` or `bt full` of its thread, whatever stands there."""
    parts = [
        summary(crash),
        _section("What to do", _numbered(crash.diagnosis.advice or (_FILE_IT,))),
        _section(f"The crash {_thread_name(crash)}", _frames(crash_thread_text)),
        _section("How to file it", _numbered(_filing(crash))),
    ]
    return "\n\n".join(parts) + "\n"


def summary(crash: Crash) -> str:
    """The report's first lines, which must tell all."""
    return "\n".join(_summary(crash))


def brief(diagnosis: Diagnosis) -> str:
    """What a backtrace's text alone tells, for people: the same beginning, reasons and advice as in a report."""
    lines = [
        *_verdict(f"{_signal(diagnosis.signal, diagnosis)} in {_function(diagnosis)}", diagnosis),
        _wrapped("Read:      ", _read(diagnosis)),
        _wrapped("Signature: ", f"{diagnosis.signature.text} ({diagnosis.signature.id})"),
        *_reasons(diagnosis),
    ]
    advice = [_section("What to do", _numbered(diagnosis.advice))] if diagnosis.advice else []
    return "\n\n".join(["\n".join(lines), *advice]) + "\n"


def _summary(crash: Crash) -> Iterator[str]:
    """The reasons come last, since only their number is unknown."""
    yield from _verdict(_what(crash), crash.diagnosis)
    yield _wrapped("When:      ", f"{_time(crash.crashed_at)} on {crash.host} (crash {crash.id})")
    yield _wrapped("Version:   ", _version(crash.asterisk))
    yield _wrapped("Seen:      ", _occurrence(crash.signature))
    yield _wrapped("Signature: ", f"{crash.signature.text} ({crash.signature.id})")
    yield from _reasons(crash.diagnosis)


def _verdict(what: str, diagnosis: Diagnosis) -> Iterator[str]:
    """What happened, whether the backtrace is good enough to file, what to do next."""
    verb = "hangs" if diagnosis.deadlock else "crashed"
    grade = f"{diagnosis.verdict}, quality {diagnosis.quality:g} of 1"
    yield _wrapped(f"Asterisk {verb}: ", what)
    yield _wrapped("Good enough to file? ", f"{_ANSWERS[diagnosis.verdict]} ({grade})")
    yield _wrapped("Next:      ", diagnosis.advice[0] if diagnosis.advice else _FILE_IT)


def _reasons(diagnosis: Diagnosis) -> Iterator[str]:
    for index, reason in enumerate(diagnosis.reasons):
        yield _wrapped("           " if index else "Why:       ", reason)


def _read(diagnosis: Diagnosis) -> str:
    threads = counted(diagnosis.threads, "thread", "threads")
    return f"{threads}; {counted(diagnosis.frames, 'frame', 'frames')} in the one that matters"


def _what(crash: Crash) -> str:
    name = crash.signal.name if crash.signal else crash.diagnosis.signal
    description = (crash.signal and signal.strsignal(crash.signal.number)) or ""
    address = f"address {crash.signal.address}" if crash.signal and crash.signal.address else ""
    details = ", ".join(filter(None, (description, address)))
    return f"{_signal(name, crash.diagnosis)}{f' ({details})' if details else ''} in {_function(crash.diagnosis)}"


def _signal(name: str | None, diagnosis: Diagnosis) -> str:
    return name or ("it waits" if diagnosis.deadlock else "unknown signal")


def _function(diagnosis: Diagnosis) -> str:
    return _short(diagnosis.crash_function or "a function without a name")


def _version(asterisk: Asterisk) -> str:
    version = f"Asterisk {asterisk.version}" if asterisk.version else "unknown"
    if asterisk.dont_optimize is None:
        return version
    return f"{version}, built {'with' if asterisk.dont_optimize else 'without'} DONT_OPTIMIZE"


def _occurrence(signature: CrashSignature) -> str:
    after = f", first after version {signature.after_version}" if signature.after_version else ""
    if signature.occurrence <= 1:
        return f"for the first time{after}"
    return f"{signature.occurrence} times since {_time(signature.first_seen)}{after}"


def _thread_name(crash: Crash) -> str:
    number = crash.diagnosis.crash_thread
    return "thread" if number is None else f"thread (gdb's thread {number} of {crash.diagnosis.threads})"


def _frames(text: str) -> str:
    """The thread's frames without their locals; where none can be read, the text itself."""
    thread = crash_thread(parse(text))
    if not thread:
        return printable(text[:_LONGEST_RAW_TEXT]).strip("\n") or "gdb printed nothing."
    lines = [printable_line(frame.text) for frame in thread.frames[:_MOST_FRAMES]]
    rest = thread.count - len(lines)
    return "\n".join([*lines, f"... and {rest} more frames, in {Section.BACKTRACE}"] if rest else lines)


def _filing(crash: Crash) -> Iterator[str]:
    function = crash.diagnosis.crash_function
    yield f"Search {TRACKER} for {_short(function) if function else 'the functions above'} first."
    yield "If nobody has reported it, open an issue there: the version, what Asterisk was doing, what changed last."
    yield f"Attach {Section.BACKTRACE} to the issue as a file. Do not paste it into the text."
    yield (
        "Never attach the core: it holds passwords and calls. Read through what you attach: it may hold some too; "
        "`astbtd bundle ID --redact` packs the texts without what it knows to be private."
    )


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _numbered(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(_wrapped(f"{number}. ", line) for number, line in enumerate(lines, 1))


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(
        printable_line(text),
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
