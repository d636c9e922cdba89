"""Writes the first screen of a report. It answers, in this order, what the person on call asks:

what happened; is Asterisk running again; is it new; is the backtrace good enough; what is the next step.
"""

import re
import shlex
import signal
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from astbtd.diagnosis.advice import READ_KEPT_CORE
from astbtd.diagnosis.sender import DO_NOT_FILE
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_duration, format_utc, format_utc_clock, pluralize
from astbtd.model.crash import Asterisk, CoreState, Crash, CrashSignature, Process, Signal, Verdict
from astbtd.model.diagnosis import Diagnosis, Kind, Signature
from astbtd.model.surroundings import PbxState, Upgrade

TRACKER = "https://github.com/asterisk/asterisk/issues"

_WIDTH = 100
_MAX_NAME_LENGTH = 100
_LABEL_WIDTH = 11  # of most labels, with the blanks after them
_NOT_EXTRACTED = "not known yet: gdb cannot start, so nothing was extracted"
_ANSWERS = {
    Verdict.USABLE: "yes",
    Verdict.PARTIAL: "partly",
    Verdict.UNUSABLE: "no",
}
_NOTABLE = ("jumped to", "stack is overwritten", "stack overflow", "which was replaced")  # in headline.py
_FILE_ISSUE = f"Search {TRACKER} for the function. If nobody has reported it, file an issue."
_FOREIGN_ADVICE = (
    "Do not file an issue for Asterisk. If this is your PBX after all, add its user to `asterisk.users` in "
    "/etc/astbtd.yaml; `astbtd check` says why a running Asterisk counts as foreign."
)
_ID_IN_COMMAND = re.compile(r"(?<=astbtd core )ID\b|(?<=astbtd extract )ID\b")
_STARTING = ("activating", "reloading")  # ActiveState of a unit that is started, or waits for its restart


FOREIGN = "Foreign"
"""The label of the line that says that a crash is not the PBX's."""


@dataclass(frozen=True)
class SummaryLine:
    """One line of the first screen: what it is about, empty if the text says it itself, and the text, not escaped."""

    label: str
    text: str


def summary(crash: Crash) -> str:
    """Return the first screen of the report, which has all that matters."""
    return format_lines(summary_lines(crash))


def format_lines(lines: Iterable[SummaryLine]) -> str:
    """Return the lines as text, escaped. Of several lines about the same, only the first one has the label."""
    formatted = []
    previous = ""
    for line in lines:
        label = f"{line.label} " if line.label.endswith("?") else f"{line.label}: ".ljust(_LABEL_WIDTH)
        if line.label == previous:
            label = " " * len(label)
        formatted.append(wrap(label if line.label else "", line.text))
        previous = line.label
    return "\n".join(formatted)


def with_advice_if_foreign(crash: Crash) -> Crash:
    """Replace the advice for a foreign crash: what helps the developers of Asterisk is of no use there."""
    if not crash.foreign:
        return crash
    return replace(crash, diagnosis=replace(crash.diagnosis, advice=(_FOREIGN_ADVICE,)))


def next_steps(diagnosis: Diagnosis, crash: Crash | None = None) -> tuple[str, ...]:
    """Return what to do, the next step first. There is at least one. Commands name the crash, if there is one."""
    steps = diagnosis.advice or (_FILE_ISSUE,)
    return tuple(_name_crash(step, crash) for step in steps) if crash else steps


def _name_crash(step: str, crash: Crash) -> str:
    """Return a step with commands that can be typed as they are."""
    if crash.core.state is CoreState.LEFT:
        step = step.replace(READ_KEPT_CORE, f"`astbtd extract {shlex.quote(crash.core.path)}`")
    return _ID_IN_COMMAND.sub(crash.id, step)


def summary_lines(crash: Crash) -> Iterator[SummaryLine]:
    """Yield the lines of the first screen."""
    crash = with_advice_if_foreign(crash)
    if crash.foreign:
        yield SummaryLine(FOREIGN, f"this is not a crash of the PBX, but of {_describe_program(crash.process)}")
    yield from _event_lines(crash)
    yield SummaryLine("When", f"{format_utc(crash.crashed_at)} on {crash.host} (crash {crash.id})")
    yield SummaryLine("Version", _describe_version(crash.asterisk))
    if crash.pbx is not None and not crash.foreign:
        yield SummaryLine("Running", describe_state(crash.pbx, crash.crashed_at))
    if crash.signature is not None or crash.upgrade is not None:
        yield SummaryLine("Seen", _describe_occurrence(crash.signature, crash.upgrade, crash.crashed_at))
    yield from grade_lines(crash.diagnosis, crash)
    yield from signature_line(crash.signature)
    yield from reason_lines(crash.diagnosis)  # last, because there may be many


def _event_lines(crash: Crash) -> Iterator[SummaryLine]:
    diagnosis = crash.diagnosis
    program = "The program" if crash.foreign else "Asterisk"
    verb = "hangs" if diagnosis.deadlock else "crashed"
    if diagnosis.kind is Kind.SENT and diagnosis.headline and not crash.foreign:
        yield SummaryLine("", diagnosis.headline)
    else:
        yield SummaryLine(f"{program} {verb}", _describe_crash(crash))
    if _is_more_than_a_fault(diagnosis):
        yield SummaryLine("What", diagnosis.headline or "")


def _describe_program(process: Process) -> str:
    user = "unknown" if process.uid is None else process.uid
    return f"{process.executable or 'an unknown program'}, user id {user}"


def grade_lines(diagnosis: Diagnosis, crash: Crash | None = None) -> Iterator[SummaryLine]:
    """Yield whether the backtrace is good enough to file, and the next step."""
    grade = f"{diagnosis.verdict}, quality {diagnosis.quality:g} of 1"
    answer = "there is nothing to file" if _is_no_fault(diagnosis) else _ANSWERS[diagnosis.verdict]
    if crash and crash.extraction.awaits_gdb:
        yield SummaryLine("Good enough to file?", _NOT_EXTRACTED)
    else:
        yield SummaryLine("Good enough to file?", f"{answer} ({grade})")
    yield SummaryLine("Next", next_steps(diagnosis, crash)[0])


def _is_no_fault(diagnosis: Diagnosis) -> bool:
    """Return True if somebody ended a healthy Asterisk."""
    return diagnosis.kind is Kind.SENT and (diagnosis.headline or "").endswith(DO_NOT_FILE)


def signature_line(signature: Signature | CrashSignature | None) -> Iterator[SummaryLine]:
    """Yield the signature, if there is one."""
    if signature is not None:
        yield SummaryLine("Signature", f"{signature.text} ({signature.id})")


def reason_lines(diagnosis: Diagnosis) -> Iterator[SummaryLine]:
    """Yield the reasons of the verdict."""
    headline = f"{diagnosis.headline}. "  # which the first line has
    return (SummaryLine("Why", reason.removeprefix(headline)) for reason in diagnosis.reasons)


def describe_state(state: PbxState, crashed_at: datetime) -> str:
    """Return whether Asterisk runs again, since when, and how often it was restarted or crashed in the last hour."""
    answer = _describe_running(state, crashed_at) if state.running else _describe_stopped(state)
    counts = []
    if state.restarts is not None:
        counts.append(pluralize(state.restarts, "restart", "restarts"))
    if state.crashes is not None:
        counts.append(pluralize(state.crashes, "crash", "crashes"))
    return f"{answer}; {' and '.join(counts)} in the last hour" if counts else answer


def _describe_running(state: PbxState, crashed_at: datetime) -> str:
    if state.since is None:
        return "yes"
    seconds = (state.since - crashed_at).total_seconds()
    if seconds < 0:
        return f"yes, a process that was started before this crash, at {format_utc(state.since)}"
    return f"yes, again since {format_utc(state.since)}, {format_duration(round(seconds))} after the crash"


def _describe_stopped(state: PbxState) -> str:
    at = f"{format_utc_clock(state.at)}"
    if state.unit is None or state.unit_state is None:
        return f"no (at {at})"
    if state.unit_state.startswith(_STARTING):
        return f"not yet (at {at}): {state.unit} is {state.unit_state}"
    return f"no (at {at}): {state.unit} is {state.unit_state}; start it with `systemctl start {state.unit}`"


def _describe_occurrence(signature: CrashSignature | None, upgrade: Upgrade | None, crashed_at: datetime) -> str:
    parts = [_count_occurrences(signature)] if signature else []
    if upgrade:
        parts.append(_describe_upgrade(upgrade, crashed_at))
    return "; ".join(parts)


def _count_occurrences(signature: CrashSignature) -> str:
    after = f", first after version {signature.after_version}" if signature.after_version else ""
    if signature.occurrence <= 1:
        return f"for the first time{after}"
    return f"{signature.occurrence} times since {format_utc(signature.first_seen)}{after}"


def _describe_upgrade(upgrade: Upgrade, crashed_at: datetime) -> str:
    """Return what was upgraded, and how long before the crash."""
    age = format_duration(round(max(0.0, (crashed_at - upgrade.at).total_seconds())))
    if upgrade.before is None:
        return f"{upgrade.package} {upgrade.after} was installed {age} before"
    return f"{upgrade.package} was upgraded from {upgrade.before} to {upgrade.after} {age} before"


def _is_more_than_a_fault(diagnosis: Diagnosis) -> bool:
    """Return True if the headline of a crash says more than the signal and the function."""
    if diagnosis.kind is not Kind.CRASH or not diagnosis.headline:
        return False
    return any(words in diagnosis.headline for words in _NOTABLE)


def _describe_crash(crash: Crash) -> str:
    name = crash.signal.name if crash.signal else crash.diagnosis.signal
    what = _describe_signal(name, crash.diagnosis)
    details = _signal_details(crash.signal) if crash.signal else ""
    if details:
        what += f" ({details})"
    if crash.extraction.awaits_gdb:
        return what
    return f"{what} in {describe_function(crash.diagnosis)}"


def _signal_details(crash_signal: Signal) -> str:
    description = signal.strsignal(crash_signal.number)
    address = f"address {crash_signal.address}" if crash_signal.address else None
    return ", ".join(filter(None, (description, address)))


def _describe_signal(name: str | None, diagnosis: Diagnosis) -> str:
    if name:
        return name
    return "it waits" if diagnosis.deadlock else "unknown signal"


def describe_function(diagnosis: Diagnosis) -> str:
    """Return the function of the crash, shortened, or that it is unknown."""
    return shorten(diagnosis.crash_function or "an unknown function (no symbols)")


def _describe_version(asterisk: Asterisk) -> str:
    """Return the version. That values are missing without DONT_OPTIMIZE is a reason of the verdict."""
    version = f"Asterisk {asterisk.version}" if asterisk.version else "unknown"
    return f"{version}, built with DONT_OPTIMIZE" if asterisk.dont_optimize else version


def wrap(label: str, text: str) -> str:
    """Return the escaped text in lines of limited width, with a label before the first one."""
    return textwrap.fill(
        printable_line(text),
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def shorten(name: str) -> str:
    """Return a name of limited length."""
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 3] + "..."
