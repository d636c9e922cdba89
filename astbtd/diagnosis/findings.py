"""The rules that judge a backtrace, one function each: what is wrong, and what to do about it."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.frame_kind import in_c_library, plain_object
from astbtd.diagnosis.hangs import circle
from astbtd.diagnosis.memory_corruption import stack_was_smashed
from astbtd.lib.quantities import counted
from astbtd.model.crash import ExtractionOutcome, MemoryCorruption, Verdict

GRAVEST_FIRST = (Verdict.UNUSABLE, Verdict.PARTIAL, Verdict.USABLE)
_MOST_NAMES = 3
_INNERMOST = 3  # frames whose arguments may be why it crashed
_POISON = re.compile(r"=0x(?:dead){2,4}\b")


@dataclass(frozen=True)
class Finding:
    """One thing to tell. `best` is the best verdict that it leaves possible."""

    reason: str
    advice: tuple[str, ...] = ()
    best: Verdict = Verdict.USABLE


_LIMITS = {
    ExtractionOutcome.TIMEOUT: ("gdb was stopped at its time limit", "Raise `gdb.time` in /etc/astbtd.yaml"),
    ExtractionOutcome.TOO_MUCH_OUTPUT: (
        "gdb was stopped at its limit of output",
        "Raise `gdb.output` in /etc/astbtd.yaml",
    ),
    ExtractionOutcome.KILLED: (
        "gdb was killed, most likely for lack of memory",
        "Free memory or raise `gdb.address_space`",
    ),
    ExtractionOutcome.FAILED: ("gdb failed", "Read gdb.log, which has what gdb said"),
}


def findings(case: CrashContext) -> tuple[Finding, ...]:
    """All that the rules find, the gravest first."""
    found = filter(None, (rule(case) for rule in _RULES))
    return tuple(sorted(found, key=lambda finding: GRAVEST_FIRST.index(finding.best)))


def _no_frames(case: CrashContext) -> Finding | None:
    if case.frames:
        return None
    if loss := case.evidence.loss:
        return Finding(loss.reason, (loss.remedy,), Verdict.UNUSABLE)
    return Finding(
        "There is no stack frame in the text.",
        ("Read gdb.log for what gdb said of the core, and check that the text is gdb's output of `bt`.",),
        Verdict.UNUSABLE,
    )


def _changed_binary(case: CrashContext) -> Finding | None:
    if not case.evidence.changed_binary:
        return None
    return Finding(
        "The Asterisk on disk is another build than the one that crashed: names and lines may be wrong.",
        (
            f"Install the build that crashed again, then {advice.READ_AGAIN}.",
            "Restart Asterisk after every upgrade, so that the running build is the installed one.",
        ),
        Verdict.UNUSABLE,
    )


def _container(case: CrashContext) -> Finding | None:
    why = "Asterisk ran in a container: its program and modules are not those of this machine."
    return Finding(why, advice.CONTAINER) if case.evidence.container else None


def _nameless(case: CrashContext) -> Finding | None:
    if not case.frames or case.crash_function:
        return None
    remedy = (
        _symbols(case, _unnamed(case)) if case.own else ("Check that the text is whole: it ends in the C library.",)
    )
    return Finding("No frame tells in which function of Asterisk it was.", remedy, Verdict.UNUSABLE)


def _unfinished(case: CrashContext) -> Finding | None:
    extraction = case.evidence.extraction
    if not extraction or extraction.ended is ExtractionOutcome.OK:
        return None
    what, remedy = _LIMITS[extraction.ended]
    return Finding(
        f"{what}: frames or threads may be missing.",
        (f"{remedy}, then {advice.READ_AGAIN}.",),
        Verdict.PARTIAL,
    )


def _truncated(case: CrashContext) -> Finding | None:
    if not case.evidence.truncated:
        return None
    return Finding(
        "The core file is truncated: memory that gdb needs is missing.",
        ("Let cores be written whole: `LimitCORE=infinity` in asterisk.service, and room where they are written.",),
        Verdict.PARTIAL,
    )


def _unreadable(case: CrashContext) -> Finding | None:
    if not case.evidence.unreadable:
        return None
    return Finding(
        f"gdb could not read {_listed(case.evidence.unreadable)}: frames in there may be wrong.",
        ("Make these files readable to all (`chmod a+r FILE`), then run `astbtd extract CORE`.",),
        Verdict.PARTIAL,
    )


def _missing_symbols(case: CrashContext) -> Finding | None:
    unnamed = _unnamed(case)
    if not unnamed:
        return None
    objects = _objects(unnamed)
    where = f", in {_listed(objects)}" if objects else ""
    return Finding(
        f"No function name (`??`) for {_of(len(unnamed), len(case.called))} of the crash thread{where}.",
        _symbols(case, unnamed),
        Verdict.PARTIAL,
    )


def _missing_lines(case: CrashContext) -> Finding | None:
    code = [frame for frame in case.own if frame.function]
    unplaced = [frame for frame in code if frame.line is None]
    if 2 * len(unplaced) <= len(code):
        return None
    return Finding(
        f"No source file and line for {_of(len(unplaced), len(code))} of Asterisk's in the crash thread.",
        _symbols(case, unplaced),
        Verdict.PARTIAL,
    )


def _optimized(case: CrashContext) -> Finding | None:
    """Values optimised out of the C library's frames say nothing about how Asterisk was built."""
    asterisk = case.evidence.asterisk
    dont_optimize = asterisk.dont_optimize if asterisk else None
    seen = [frame for frame in case.own if frame.optimized]
    values = sum(frame.arguments.count("optimized out>") for frame in seen)
    if dont_optimize:
        return Finding("Some values are <optimized out>, in code built apart from Asterisk.") if seen else None
    if seen:
        arguments = f", {counted(values, 'argument', 'arguments')} of theirs among them" if values else ""
        frames = _of(len(seen), len(case.own))
        reason = f"Values are <optimized out> in {frames} of Asterisk's{arguments}."
        return Finding(reason, advice.REBUILD_UNOPTIMIZED, Verdict.PARTIAL)
    if dont_optimize is False and case.frames:
        reason = "Asterisk was built with optimisation (no DONT_OPTIMIZE)."
        return Finding(reason, advice.REBUILD_UNOPTIMIZED, Verdict.PARTIAL)
    return None


def _gaps(case: CrashContext) -> Finding | None:
    """Frames that somebody left out, or that were lost on the way."""
    levels = [frame.level for frame in case.frames]
    pairs = zip([-1, *levels], levels, strict=False)
    gaps = [
        f"#{last + 1}" if level - last == 2 else f"#{last + 1} to #{level - 1}"
        for last, level in pairs
        if level - last > 1
    ]
    if not gaps or (case.thread and case.thread.locks):
        return None
    return Finding(
        f"Frames are missing from the text: {_listed(gaps)}.",
        ("Give the whole of what gdb printed.",),
        Verdict.PARTIAL,
    )


def _unread(case: CrashContext) -> Finding | None:
    backtrace = case.backtrace
    if not backtrace.unread and not backtrace.threads_left_out:
        return None
    said = []
    if backtrace.unread:
        lines = counted(backtrace.unread, "line looks like a frame", "lines look like frames")
        said.append(f"{lines} and could not be read, the first: {backtrace.first_unread}")
    if backtrace.threads_left_out:
        said.append(f"{counted(backtrace.threads_left_out, 'more thread is', 'more threads are')} counted, not read")
    return Finding("; ".join(said) + ".")


def _stopped(case: CrashContext) -> Finding | None:
    if not case.thread or not case.thread.stopped:
        return None
    return Finding(
        f"gdb could not follow the stack to its end: {case.thread.stopped}.",
        best=Verdict.PARTIAL,
    )


def _corruption(case: CrashContext) -> Finding | None:
    if stack_was_smashed(case.stack):
        reason = "A local variable was overrun: the compiler's stack protector found it."
        return Finding(_with_message(reason, case), advice.FIND_STACK_OVERRUN)
    match case.memory_corruption:
        case MemoryCorruption.CERTAIN:
            reason = "Memory is corrupt: the crash is in free(), or the allocator found it; the damage was done before."
            return Finding(_with_message(reason, case), advice.FIND_CORRUPTION)
        case MemoryCorruption.LIKELY if not case.memory_ran_out:
            reason = "The crash is in malloc(), calloc() or realloc(): the heap was damaged before, or memory ran out."
            return Finding(_with_message(reason, case), advice.FIND_CORRUPTION)
    return None


def _out_of_memory(case: CrashContext) -> Finding | None:
    if not case.memory_ran_out:
        return None
    return Finding(_with_message("Memory ran out: an allocation failed.", case), advice.FIND_MEMORY)


def _used_after_free(case: CrashContext) -> Finding | None:
    poisoned = [frame for frame in case.stack.frames[:_INNERMOST] if _POISON.search(frame.arguments)]
    if not poisoned:
        return None
    return Finding(
        "An address is 0xdeaddead, which MALLOC_DEBUG writes into memory that is freed: it was used after that.",
        advice.FIND_USE_AFTER_FREE,
    )


def _deadlocked(case: CrashContext) -> Finding | None:
    if not case.locks or not case.locks.cycle:
        return None
    return Finding(f"Threads were deadlocked when it died: {case.locks.summary.removeprefix('deadlock: ')}.")


def _waiting(case: CrashContext) -> Finding | None:
    if case.crashed:
        return None
    ring = circle(case.backtrace.threads)
    if ring:
        chain = ", ".join(f"LWP {thread.lwp} wants a lock of the next" for thread in ring)
        return Finding(
            f"Deadlock: {chain}, the last one of the first.", () if case.debug_threads else advice.SHOW_LOCKS
        )
    threads = counted(len(case.hanging), "thread waits", "threads wait")
    return Finding(
        f"Nothing says that it crashed: {threads} for another one, so this looks like a deadlock.",
        () if case.debug_threads else advice.SHOW_LOCKS,
    )


def _with_message(reason: str, case: CrashContext) -> str:
    said = case.evidence.abort_message or next((each.message for each in case.heap_said), None)
    return f"{reason} It said: {said}" if said else reason


_RULES: tuple[Callable[[CrashContext], Finding | None], ...] = (
    _no_frames,
    _changed_binary,
    _container,
    _nameless,
    _unfinished,
    _truncated,
    _unreadable,
    _missing_symbols,
    _missing_lines,
    _optimized,
    _stopped,
    _gaps,
    _corruption,
    _out_of_memory,
    _used_after_free,
    _waiting,
    _unread,
    _deadlocked,
)


def _symbols(case: CrashContext, frames: Sequence[Frame]) -> tuple[str, ...]:
    """What brings names and lines back; symbols of another build than the crashed one would not."""
    return () if case.evidence.changed_binary else advice.symbols(_objects(frames))


def _unnamed(case: CrashContext) -> list[Frame]:
    return [frame for frame in case.called if not frame.function and not in_c_library(frame)]


def _objects(frames: Sequence[Frame]) -> list[str]:
    return list(dict.fromkeys(plain_object(frame.library) for frame in frames if frame.library))


def _of(count: int, total: int) -> str:
    return f"{count} of {total} frames" if total != 1 else "the only frame"


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _MOST_NAMES} more" if len(unique) > _MOST_NAMES else ""
    return ", ".join(unique[:_MOST_NAMES]) + more
