"""The rules that judge a backtrace, one function each: what is wrong, and what to do about it.

The advice is that of Asterisk's documentation, "Getting a Backtrace" and "MALLOC_DEBUG Compiler Flag"
(docs.asterisk.org/Development/Debugging).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from astbtd.diagnosis.case import Case
from astbtd.diagnosis.roles import Role, plain_object, role
from astbtd.model import Ended, MemoryCorruption, Verdict

GRAVEST_FIRST = (Verdict.UNUSABLE, Verdict.PARTIAL, Verdict.USABLE)
_MOST_NAMES = 3


@dataclass(frozen=True)
class Finding:
    """One thing to tell. `best` is the best verdict that it leaves possible."""

    reason: str
    advice: tuple[str, ...] = ()
    best: Verdict = Verdict.USABLE


_SYMBOLS = (
    "Install the debug symbols of the very build that crashed (Debian: package asterisk-dbgsym from the debian-debug "
    "archive; RHEL family: `dnf debuginfo-install asterisk`; a build of your own: install it unstripped).",
    "Then read the core again (`astbtd core ID --output CORE`, where it was kept): `astbtd extract CORE`.",
)
_REBUILD = (
    "Build Asterisk from source with DONT_OPTIMIZE (`make menuselect`, 'Compiler Flags'), `make`, `make install`, "
    "restart Asterisk; the next crash will show every value.",
)
_FIND_CORRUPTION = (
    "To find what wrote there, rebuild with MALLOC_DEBUG (`make menuselect`, 'Compiler Flags'), `make`, "
    "`make install`, restart Asterisk, and attach /var/log/asterisk/mmlog after the next crash.",
    "Or run Asterisk, built without MALLOC_DEBUG, under valgrind: "
    "`valgrind --suppressions=contrib/valgrind.supp --log-file=valgrind.txt asterisk -cg`.",
)
_LIMITS = {
    Ended.TIMEOUT: ("gdb was stopped at its time limit", "Raise `gdb.time` in /etc/astbtd.yaml"),
    Ended.TOO_MUCH_OUTPUT: ("gdb was stopped at its limit of output", "Raise `gdb.output` in /etc/astbtd.yaml"),
    Ended.KILLED: ("gdb was killed, most likely for lack of memory", "Free memory or raise `gdb.address_space`"),
    Ended.FAILED: ("gdb failed", "Read gdb.log, which has what gdb said"),
}


def findings(case: Case) -> tuple[Finding, ...]:
    """All that the rules find, the gravest first."""
    found = filter(None, (rule(case) for rule in _RULES))
    return tuple(sorted(found, key=lambda finding: GRAVEST_FIRST.index(finding.best)))


def _no_frames(case: Case) -> Finding | None:
    if case.frames:
        return None
    return Finding(
        "There is no stack frame in the text.",
        ("Read gdb.log for what gdb said of the core, and check that the text is gdb's output of `bt`.",),
        Verdict.UNUSABLE,
    )


def _changed_binary(case: Case) -> Finding | None:
    if not case.evidence.changed_binary:
        return None
    return Finding(
        "The Asterisk on disk is another build than the one that crashed: names and lines may be wrong.",
        (
            "Install the build that crashed again, then read the core with `astbtd extract CORE`.",
            "Restart Asterisk after every upgrade, so that the running build is the installed one.",
        ),
        Verdict.UNUSABLE,
    )


def _nameless(case: Case) -> Finding | None:
    if not case.frames or case.crash_function:
        return None
    advice = _symbols(case) if case.own else ("Check that the text is whole: it ends in the C library.",)
    return Finding("No frame of the crash thread names a function of Asterisk.", advice, Verdict.UNUSABLE)


def _unfinished(case: Case) -> Finding | None:
    extraction = case.evidence.extraction
    if not extraction or extraction.ended is Ended.OK:
        return None
    what, remedy = _LIMITS[extraction.ended]
    return Finding(
        f"{what}: frames or threads may be missing.",
        (f"{remedy}, then read the core again with `astbtd extract CORE`.",),
        Verdict.PARTIAL,
    )


def _truncated(case: Case) -> Finding | None:
    if not case.evidence.truncated:
        return None
    return Finding(
        "The core file is truncated: memory that gdb needs is missing.",
        ("Let cores be written whole: `LimitCORE=infinity` in asterisk.service, and room where they are written.",),
        Verdict.PARTIAL,
    )


def _unreadable(case: Case) -> Finding | None:
    if not case.evidence.unreadable:
        return None
    return Finding(
        f"gdb could not read {_listed(case.evidence.unreadable)}: frames in there may be wrong.",
        ("Make these files readable to all (`chmod a+r FILE`), then run `astbtd extract CORE`.",),
        Verdict.PARTIAL,
    )


def _missing_symbols(case: Case) -> Finding | None:
    unnamed = [frame for frame in case.called if role(frame) is Role.UNKNOWN]
    if not unnamed:
        return None
    objects = _listed(plain_object(frame.library) for frame in unnamed if frame.library)
    where = f", in {objects}" if objects else ""
    return Finding(
        f"{_of(len(unnamed), len(case.called))} of the crash thread have no function name (`??`){where}.",
        _symbols(case),
        Verdict.PARTIAL,
    )


def _missing_lines(case: Case) -> Finding | None:
    code = [frame for frame in case.own if frame.function]
    unplaced = [frame for frame in code if frame.line is None]
    if 2 * len(unplaced) <= len(code):
        return None
    return Finding(
        f"{_of(len(unplaced), len(code))} of Asterisk's in the crash thread have no source file and line.",
        _symbols(case),
        Verdict.PARTIAL,
    )


def _optimized(case: Case) -> Finding | None:
    """Values optimised out of the C library's frames say nothing about how Asterisk was built."""
    asterisk = case.evidence.asterisk
    dont_optimize = asterisk.dont_optimize if asterisk else None
    seen = [frame for frame in case.own if frame.optimized]
    if dont_optimize:
        return Finding("Some values are <optimized out>, in code built apart from Asterisk.") if seen else None
    if seen:
        frames = _of(len(seen), len(case.own))
        return Finding(f"{frames} of Asterisk's have values that are <optimized out>.", _REBUILD, Verdict.PARTIAL)
    if dont_optimize is False and case.frames:
        return Finding("Asterisk was built with optimisation (no DONT_OPTIMIZE).", _REBUILD, Verdict.PARTIAL)
    return None


def _stopped(case: Case) -> Finding | None:
    if not case.thread or not case.thread.stopped:
        return None
    return Finding(
        f"gdb could not follow the stack to its end: {case.thread.stopped}.",
        best=Verdict.PARTIAL,
    )


def _corruption(case: Case) -> Finding | None:
    match case.memory_corruption:
        case MemoryCorruption.CERTAIN:
            reason = "The crash is in free(): the heap was damaged before, somewhere else."
            return Finding(_with_message(reason, case), _FIND_CORRUPTION)
        case MemoryCorruption.LIKELY:
            reason = "The crash is in malloc(), calloc() or realloc(): the heap was damaged before, or memory ran out."
            return Finding(_with_message(reason, case), _FIND_CORRUPTION)
    return None


def _with_message(reason: str, case: Case) -> str:
    message = case.evidence.abort_message
    return f"{reason} The C library said: {message}" if message else reason


_RULES: tuple[Callable[[Case], Finding | None], ...] = (
    _no_frames,
    _changed_binary,
    _nameless,
    _unfinished,
    _truncated,
    _unreadable,
    _missing_symbols,
    _missing_lines,
    _optimized,
    _stopped,
    _corruption,
)


def _symbols(case: Case) -> tuple[str, ...]:
    """What brings names and lines back; symbols of another build than the crashed one would not."""
    return () if case.evidence.changed_binary else _SYMBOLS


def _of(count: int, total: int) -> str:
    return f"{count} of {total} frames" if total != 1 else "The only frame"


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _MOST_NAMES} more" if len(unique) > _MOST_NAMES else ""
    return ", ".join(unique[:_MOST_NAMES]) + more
