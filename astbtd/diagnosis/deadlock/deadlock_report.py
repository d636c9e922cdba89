"""Writes the report.txt of a capture: what it came to in the first line, then who waits for whom, then what to do."""

from collections.abc import Iterator, Sequence

from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import counted, shown_size
from astbtd.model.deadlock_capture import BACKTRACE_FILE, LOCKS_FILE, Deadlock, Finding, LocksCli, Sample, Wait

_LOCKS = {
    LocksCli.OK: "answered",
    LocksCli.TIMEOUT: "not answered in time",
    LocksCli.UNAVAILABLE: "not available: this Asterisk is built without DEBUG_THREADS, or has no console",
}
_ADVICE = {
    Finding.DEADLOCK: (
        "It does not end by itself: restart Asterisk.",
        "File it: this is a bug of Asterisk or of a module.",
    ),
    Finding.STUCK: (
        "Look at the thread at the end of the chain: what it waits for, or does, keeps the others from going on.",
        "Capture again a minute later: `astbtd deadlock`. If the same threads wait, restart Asterisk and file it.",
    ),
    Finding.NONE: (
        "If calls hang all the same, capture again while they do, with more samples: `astbtd deadlock --samples 4`.",
    ),
    Finding.UNKNOWN: ("Take two samples at least: `astbtd deadlock --samples 2`.", f"Read {BACKTRACE_FILE} yourself."),
}


def render(record: Deadlock, others: Sequence[str]) -> str:
    """The report; `others` are further cycles or chains, a sentence each."""
    lines = [record.summary, *(f"also: {sentence}" for sentence in others), ""]
    lines += _facts(record)
    if record.wait_for:
        lines += ["", "Who waits for whom", "------------------", *(_wait(wait) for wait in record.wait_for)]
    lines += ["", "What to do", "----------"]
    lines += [f"{number}. {line}" for number, line in enumerate(_advice(record), 1)]
    return "".join(f"{printable_line(line)}\n" for line in lines)


def _facts(record: Deadlock) -> Iterator[str]:
    version = f"Asterisk {record.asterisk.version}" if record.asterisk.version else "Asterisk"
    yield f"When:      {record.captured_at:%Y-%m-%d %H:%M:%S} UTC on {record.host} (capture {record.id})"
    yield f"Process:   {record.process.pid}, {version}, {record.process.command_line or 'command line unknown'}"
    for sample in record.samples:
        yield f"Stopped:   {_sample(sample)}"
    yield f"Locks:     `core show locks` {_LOCKS[record.locks_cli]}"


def _sample(sample: Sample) -> str:
    threads = counted(sample.threads, "thread", "threads")
    moving = f"; {len(sample.not_stopped)} more could not be stopped" if sample.not_stopped else ""
    later = f"; {shown_size(sample.bytes_later)} of memory are as they were later" if sample.bytes_later else ""
    return f"{sample.stopped_seconds * 1000:.0f} ms at {sample.at:%H:%M:%S}, {threads}{moving}{later}"


def _wait(wait: Wait) -> str:
    where = f" at {wait.file}:{wait.line}" if wait.file else ""
    owner = f"LWP {wait.owner_lwp}, {wait.owner_state}" if wait.owner_lwp is not None else wait.owner_state
    readers = f" ({', '.join(f'LWP {lwp}' for lwp in wait.holders)})" if wait.holders else ""
    moved = "" if wait.stuck is None else ", in every sample" if wait.stuck else ", not in every sample"
    lock = f"{wait.kind} {wait.lock_name or ''}".rstrip()
    return f"LWP {wait.lwp} in {wait.function or '??'}{where}: {lock} {wait.lock}, owner: {owner}{readers}{moved}"


def _advice(record: Deadlock) -> Iterator[str]:
    yield from _ADVICE[record.finding]
    if record.finding is not Finding.NONE:
        yield f"Attach {BACKTRACE_FILE} and {LOCKS_FILE} to the issue; read them first, they may hold passwords."
        if not record.asterisk.debug_threads:
            yield (
                "For the names of all locks, build Asterisk with DEBUG_THREADS (`make menuselect`, 'Compiler Flags') "
                "before it happens again."
            )
