"""Helpers for tests of backtraces and diagnoses: parse a text and return a part of the result."""

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parser import Thread, parse
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.model.diagnosis import Diagnosis
from tests.support.transcripts import BT


def only_thread(text: str) -> Thread:
    """Return the thread of a text that has exactly one."""
    (thread,) = parse(text).threads
    return thread


def only_frame(text: str) -> Frame:
    """Return the frame of a text that has exactly one."""
    (frame,) = only_thread(text).frames
    return frame


def functions(text: str) -> list[str | None]:
    """Return the functions of the only thread."""
    return [frame.function for frame in only_thread(text).frames]


def locations(text: str) -> list[tuple[int, str | None, str | None, int | None]]:
    """Return level, function, file and line of each frame of the only thread."""
    return [(frame.level, frame.function, frame.file, frame.line) for frame in only_thread(text).frames]


BT_LOCATIONS = locations(BT)


def indent(text: str, margin: str) -> str:
    """Put `margin` before each line."""
    return "".join(f"{margin}{line}\n" for line in text.splitlines())


def stack_from_text(text: str) -> CrashStack:
    """Return the stack of the first thread of a text."""
    return CrashStack.from_frames(parse(text).threads[0].frames)


def stack_of(*functions: str | None) -> CrashStack:
    """Return a stack with these functions, innermost first."""
    return CrashStack(tuple(Frame(level, "", function=function) for level, function in enumerate(functions)))


def stack_of_objects(*frames: tuple[str | None, str]) -> CrashStack:
    """Return a stack of functions and the shared objects that they are in, innermost first."""
    return CrashStack(tuple(Frame(level, "", function=name, library=path) for level, (name, path) in enumerate(frames)))


def prose(diagnosis: Diagnosis) -> str:
    """Return all reasons and advice of a diagnosis."""
    return "\n".join([*diagnosis.reasons, *diagnosis.advice])
