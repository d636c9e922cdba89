"""Reads what gdb's `bt full` printed: the threads, and for each frame its arguments and local variables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from astbtd.backtrace.gdb_frame import Frame, parse_gdb_frame, starts_frame
from astbtd.backtrace.marker_types import StackStart
from astbtd.backtrace.markers import parse_marker
from astbtd.diagnosis.frame_folding import fold_frames

_MAX_FRAMES = 200
_MAX_VALUES = 1 << 16  # characters of one frame
_CUT = "... (the rest is in the text files)"


@dataclass
class FullFrame:
    """A frame, with the lines of its local variables as gdb printed them."""

    frame: Frame
    variables: list[str] = field(default_factory=list)


@dataclass
class FullThread:
    """A thread of `bt full`, innermost frame first. `number` is gdb's. `notes` are gdb's remarks on the stack."""

    number: int | None = None
    lwp: int | None = None
    frames: list[FullFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FrameView:
    """A frame as it is shown. `remark` stands for frames that are not shown; the other texts are empty then."""

    level: int = 0
    function: str = ""
    place: str = ""
    arguments: str = ""
    variables: str = ""
    remark: str = ""


def read_threads(text: str) -> list[FullThread]:
    """Return the threads in a text. Lines that are neither headings, frames nor variables are passed over."""
    threads = [FullThread()]
    for line in text.split("\n"):
        if heading := _read_heading(line):
            threads.append(FullThread(heading.number, heading.lwp))
        else:
            _add_line(threads[-1], line)
    return [thread for thread in threads if thread.frames]


def _read_heading(line: str) -> StackStart | None:
    if not line.startswith("Thread "):
        return None
    marker = parse_marker(line)
    return marker if isinstance(marker, StackStart) else None


def _add_line(thread: FullThread, line: str) -> None:
    if line.startswith("#") and starts_frame(line):
        thread.frames.append(FullFrame(parse_gdb_frame(line)))
    elif line.startswith("Backtrace stopped: "):
        thread.notes.append(line)
    elif line.startswith((" ", "\t")) and thread.frames:
        thread.frames[-1].variables.append(line)


def show_frames(thread: FullThread) -> Iterator[FrameView]:
    """Yield the frames to show: repeated ones are folded, and at most 200 are shown."""
    shown = thread.frames[:_MAX_FRAMES]
    by_level = {each.frame.level: each for each in shown}
    for each in fold_frames([full.frame for full in shown]):
        yield FrameView(remark=each) if isinstance(each, str) else _show(by_level[each.level])
    omitted = len(thread.frames) - len(shown)
    remarks = [f"... and {omitted} more frames, in the text files"] if omitted else []
    yield from (FrameView(remark=remark) for remark in (*remarks, *thread.notes))


def show_place(frame: Frame) -> str:
    """Return where a frame is: `bridge.c:123` or `libc.so.6`; empty if that is unknown."""
    if frame.file:
        return f"{_base_name(frame.file)}:{frame.line}" if frame.line else _base_name(frame.file)
    return _base_name(frame.library or "")


def show_function(frame: Frame) -> str:
    """Return the function of a frame, `??` if it has no name."""
    return "<signal handler called>" if frame.signal_handler else frame.function or "??"


def _show(full: FullFrame) -> FrameView:
    frame = full.frame
    return FrameView(
        level=frame.level,
        function=show_function(frame),
        place=show_place(frame),
        arguments=_cut(frame.arguments),
        variables=_cut(_outdent(full.variables)),
    )


def _outdent(lines: Sequence[str]) -> str:
    """Return the lines without the indentation that all of them have."""
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    common = min(indents, default=0)
    return "\n".join(line[common:] for line in lines).rstrip()


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUES else f"{text[:_MAX_VALUES]}\n{_CUT}"


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]
