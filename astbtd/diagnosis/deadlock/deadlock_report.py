"""Writes report.txt of a capture: the finding in the first line, then which thread waits for which, then what to do."""

from collections.abc import Iterator, Sequence

from astbtd.diagnosis.report_summary import SummaryLine
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_size, format_utc, format_utc_clock, pluralize
from astbtd.model.deadlock_capture import BACKTRACE_FILE, LOCKS_FILE, Deadlock, Finding, LocksCli, Sample, Wait

_LABEL_WIDTH = 11
_LOCKS_CLI = {
    LocksCli.OK: "answered",
    LocksCli.TIMEOUT: "not answered in time",
    LocksCli.UNAVAILABLE: "not available: this Asterisk is built without DEBUG_THREADS, or has no console",
}
_ADVICE = {
    Finding.DEADLOCK: (
        "A deadlock does not end by itself: restart Asterisk.",
        "File an issue: this is a bug in Asterisk or in a module.",
    ),
    Finding.STUCK: (
        "Examine the thread at the end of the chain: what it does, or waits for, blocks the others.",
        "Capture again a minute later: `astbtd deadlock`. If the same threads still wait, restart Asterisk and file an "
        "issue.",
    ),
    Finding.NONE: (
        "If calls still hang, capture again while they do, with more samples: `astbtd deadlock --samples 4`.",
    ),
    Finding.UNKNOWN: (
        "Take at least two samples: `astbtd deadlock --samples 2`.",
        f"Read {BACKTRACE_FILE} yourself.",
    ),
}


def render(record: Deadlock, others: Sequence[str]) -> str:
    """Return the report. `others` are further cycles or chains, one sentence each."""
    lines = [record.summary, *(f"also: {sentence}" for sentence in others), ""]
    lines += [f"{line.label}:".ljust(_LABEL_WIDTH) + line.text for line in summary_lines(record)]
    if record.wait_for:
        lines += ["", "Who waits for whom", "------------------", *map(_describe_wait, record.wait_for)]
    lines += ["", "What to do", "----------"]
    lines += [f"{number}. {line}" for number, line in enumerate(advise(record), 1)]
    return "".join(f"{printable_line(line)}\n" for line in lines)


def summary_lines(record: Deadlock) -> Iterator[SummaryLine]:
    """Yield when and how the capture was made. The texts are not escaped."""
    version = f"Asterisk {record.asterisk.version}" if record.asterisk.version else "Asterisk"
    yield SummaryLine("When", f"{format_utc(record.captured_at)} on {record.host} (capture {record.id})")
    command_line = record.process.command_line or "command line unknown"
    yield SummaryLine("Process", f"{record.process.pid}, {version}, {command_line}")
    for sample in record.samples:
        yield SummaryLine("Paused", _describe_sample(sample))
    yield SummaryLine("Locks", f"`core show locks` {_LOCKS_CLI[record.locks_cli]}")


def _describe_sample(sample: Sample) -> str:
    milliseconds = sample.stopped_seconds * 1000
    parts = [
        f"{milliseconds:.0f} ms at {format_utc_clock(sample.at)}, {pluralize(sample.threads, 'thread', 'threads')}"
    ]
    if sample.not_stopped:
        parts.append(f"{len(sample.not_stopped)} more could not be stopped")
    if sample.bytes_later:
        parts.append(f"{format_size(sample.bytes_later)} of memory were read after the process continued")
    return "; ".join(parts)


def _describe_wait(wait: Wait) -> str:
    location = f" at {wait.file}:{wait.line}" if wait.file else ""
    lock = " ".join(filter(None, (wait.kind, wait.lock_name, wait.lock)))
    return (
        f"LWP {wait.lwp} in {wait.function or '??'}{location}: {lock}, "
        f"owner: {_describe_owner(wait)}{_describe_stuck(wait)}"
    )


def _describe_owner(wait: Wait) -> str:
    owner = f"LWP {wait.owner_lwp}, {wait.owner_state}" if wait.owner_lwp is not None else str(wait.owner_state)
    if wait.holders:
        owner += f" ({', '.join(f'LWP {lwp}' for lwp in wait.holders)})"
    return f"{owner}, locked at {wait.locked_at}" if wait.locked_at else owner


def _describe_stuck(wait: Wait) -> str:
    if wait.stuck is None:  # there is only one sample
        return ""
    return ", in every sample" if wait.stuck else ", not in every sample"


def advise(record: Deadlock) -> Iterator[str]:
    """Yield what to do, in order."""
    yield from _ADVICE[record.finding]
    if record.finding is Finding.NONE:
        return
    yield f"Attach {BACKTRACE_FILE} and {LOCKS_FILE} to the issue. Read them first: they may contain passwords."
    if not record.asterisk.debug_threads:
        yield (
            "To get the names of all locks next time, build Asterisk with DEBUG_THREADS (`make menuselect`, "
            "'Compiler Flags')."
        )
