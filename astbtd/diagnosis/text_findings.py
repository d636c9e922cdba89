"""Findings about what the text of a backtrace lacks: names, lines, values, frames."""

from collections.abc import Sequence

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding, count_frames, list_names
from astbtd.diagnosis.frame_kind import in_c_library, plain_object
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Kind


def find_no_function(context: CrashContext) -> Finding | None:
    """The crash cannot be filed under a function."""
    if not context.frames or context.crash_function or context.kind is Kind.LIVE:
        return None
    if context.own_frames:
        remedy = _advise_symbols(context, _unnamed_frames(context))
    else:
        remedy = ("Check that the text is complete: it ends inside the C library.",)
    is_named = any(frame.function for frame in context.own_frames)
    reason = "The function that crashed has no name, only some of those that called it have one."
    return Finding(reason if is_named else "No frame names a function of Asterisk.", remedy, Verdict.UNUSABLE)


def find_missing_symbols(context: CrashContext) -> Finding | None:
    """Frames of the crash thread have no function name."""
    unnamed = _unnamed_frames(context)
    if not unnamed or context.replaced_in_crash:  # a frame in a replaced file, and those that gdb invents behind it
        return None
    return Finding(
        f"No function name (`??`) for {_count_unnamed(context, unnamed)}.",
        _advise_symbols(context, unnamed),
        Verdict.PARTIAL,
    )


def find_missing_lines(context: CrashContext) -> Finding | None:
    """Most frames of Asterisk have no source file and line."""
    named = [frame for frame in context.own_frames if frame.function]
    without_line = [frame for frame in named if frame.line is None]
    if 2 * len(without_line) <= len(named):
        return None
    frames = count_frames(len(without_line), len(named))
    return Finding(
        f"No source file and line for {frames} of Asterisk in the crash thread.",
        _advise_symbols(context, without_line),
        Verdict.PARTIAL,
    )


def find_optimized_values(context: CrashContext) -> Finding | None:
    """Values are missing, because Asterisk was built with optimization. Frames of the C library do not count."""
    asterisk = context.evidence.asterisk
    dont_optimize = asterisk.dont_optimize if asterisk else None
    frames = [frame for frame in context.own_frames if frame.optimized]
    if dont_optimize:
        reason = "Some values are <optimized out>, in code that is built separately from Asterisk."
        return Finding(reason) if frames else None
    if frames:
        reason = _count_optimized_values(frames, total=len(context.own_frames))
        return Finding(reason, advice.REBUILD_UNOPTIMIZED, Verdict.PARTIAL)
    if dont_optimize is False and context.frames:
        reason = "Asterisk was built with optimization (without DONT_OPTIMIZE)."
        return Finding(reason, advice.REBUILD_UNOPTIMIZED, Verdict.PARTIAL)
    return None


def find_gaps(context: CrashContext) -> Finding | None:
    """Frames are missing, because somebody omitted them or the text was damaged."""
    if context.thread and context.thread.locks:  # `core show locks` numbers its frames in its own way
        return None
    gaps = _missing_levels(context.frames)
    if not gaps:
        return None
    return Finding(
        f"Frames are missing from the text: {list_names(gaps)}.",
        ("Provide the complete output of gdb.",),
        Verdict.PARTIAL,
    )


def find_unparsed_text(context: CrashContext) -> Finding | None:
    """Parts of the text were not parsed."""
    backtrace = context.backtrace
    reasons = []
    if backtrace.unparsed_lines:
        lines = pluralize(backtrace.unparsed_lines, "line looks like a frame", "lines look like frames")
        reasons.append(f"{lines} and could not be parsed, the first: {backtrace.first_unparsed_line}")
    if backtrace.threads_omitted:
        threads = pluralize(backtrace.threads_omitted, "more thread was", "more threads were")
        reasons.append(f"{threads} counted, but not parsed")
    return Finding("; ".join(reasons) + ".") if reasons else None


def _advise_symbols(context: CrashContext, frames: Sequence[Frame]) -> tuple[str, ...]:
    """Return how to get names and lines for these frames. Symbols of another build than the crashed one do not help."""
    if context.evidence.changed_binary or context.replaced_in_crash:
        return ()
    if context.kind is Kind.ASSERTION:
        return advice.BETTER_BACKTRACES
    here = () if context.evidence.container else context.evidence.advise_symbols(_object_paths(context, frames))
    install = here or advice.install_symbols(_object_names(frames))
    return *install, advice.THEN_EXTRACT_AGAIN if context.has_core else advice.THEN_RUN_GDB_AGAIN


def _object_paths(context: CrashContext, frames: Sequence[Frame]) -> tuple[str, ...]:
    """Return the paths of the files that these frames are in. A frame without a file is in the program."""
    located = context.evidence.locate(frames)
    paths = (frame.library or context.evidence.executable for frame in located)
    return tuple(dict.fromkeys(path for path in paths if path))


def _unnamed_frames(context: CrashContext) -> list[Frame]:
    return [
        frame
        for frame in context.valid_frames
        if not frame.function and not in_c_library(frame) and frame.level not in context.nameless_levels
    ]


def _count_unnamed(context: CrashContext, unnamed: Sequence[Frame]) -> str:
    """Return how many of all frames have no name, as they are shown, and where those are that should have one."""
    all_unnamed = [frame for frame in context.frames if not frame.function and not frame.signal_handler]
    total = len(context.frames)
    shown = "innermost frames of" if context.thread and context.thread.frame_count > total else "frames of"
    counted = count_frames(len(all_unnamed), total).replace("frames", shown, 1) if total != 1 else "the only frame of"
    objects = _object_names(unnamed)
    location = f", in {list_names(objects)}" if objects else ""
    others = len(all_unnamed) - len(unnamed)
    them = "1 of them is in the C library or invented by gdb, and needs none"
    if others > 1:
        them = f"{others} of them are in the C library or invented by gdb, and need none"
    rest = f"; {them}" if others else ""
    return f"{counted} the crash thread{location}{rest}"


def _object_names(frames: Sequence[Frame]) -> list[str]:
    names = [plain_object(frame.library) for frame in frames if frame.library]
    return list(dict.fromkeys(names))


def _count_optimized_values(frames: Sequence[Frame], total: int) -> str:
    arguments = sum(frame.arguments.count("optimized out>") for frame in frames)
    of_these = f", {pluralize(arguments, 'argument', 'arguments')} among them" if arguments else ""
    return f"Values are <optimized out> in {count_frames(len(frames), total)} of Asterisk{of_these}."


def _missing_levels(frames: Sequence[Frame]) -> list[str]:
    """Return the gaps in the numbers of the frames: `#0 to #3`, or `#7`."""
    gaps = []
    previous = -1
    for frame in frames:
        missing = frame.level - previous - 1
        if missing == 1:
            gaps.append(f"#{previous + 1}")
        elif missing > 1:
            gaps.append(f"#{previous + 1} to #{frame.level - 1}")
        previous = frame.level
    return gaps
