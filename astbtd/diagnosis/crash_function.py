"""Finds the functions that a crash is filed under, or, if functions have no names, the modules."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_kind import ASSERTION_KINDS, FrameKind, classify, plain_name, plain_object
from astbtd.diagnosis.word_lists import load_words

# An argument that names the caller, as in func=func@entry=0x7f <__PRETTY_FUNCTION__.3> "ast_hangup"
_CALLER = re.compile(r'\b(?:func|function|funcname|func_name)=(?:[\w@]+=)?[^"=]{0,200}"([^"]{1,400})"')
_IDENTIFIER = re.compile(r"([A-Za-z_][\w:~]*) ?(?:\(|$)")
_MAY_BE_CODE = (FrameKind.CODE, FrameKind.NAMELESS, FrameKind.UNKNOWN)


@dataclass(frozen=True)
class CrashStack:
    """The frames in which a thread crashed, innermost first, without those of a signal handler.

    `assertion_function` is the function whose assertion failed, as Asterisk's log has it: empty if the log does not
    name it, None if the program did not print these frames itself.
    """

    frames: tuple[Frame, ...]
    assertion_function: str | None = None

    @classmethod
    def from_frames(cls, frames: Sequence[Frame], assertion_function: str | None = None) -> "CrashStack":
        """Return the stack of a thread with these frames. If it is in a signal handler, return what was interrupted."""
        interrupted: Sequence[Frame] = ()
        for index, frame in enumerate(frames):
            if frame.signal_handler:
                interrupted = frames[index + 1 :]
                break
        return cls(tuple(interrupted or frames), assertion_function)

    @property
    def library_frames(self) -> tuple[Frame, ...]:
        """The innermost frames, up to the first that may contain the bug."""
        for index, frame in enumerate(self.frames):
            if classify(frame) in _MAY_BE_CODE:
                return self.frames[:index]
        return self.frames

    @property
    def library_kinds(self) -> frozenset[FrameKind]:
        """The kinds of the library frames."""
        return frozenset(map(classify, self.library_frames))

    @property
    def is_assertion(self) -> bool:
        """True if the program aborted by itself."""
        return self.assertion_function is not None or not ASSERTION_KINDS.isdisjoint(self.library_kinds)


def from_log(stack: CrashStack, _: str | None = None) -> Iterator[str]:
    """Yield the function that the log names, unless it only checks on behalf of others."""
    name = stack.assertion_function
    if name and _is_code(name):
        yield name


def from_code(stack: CrashStack, skip: str | None = None) -> Iterator[str]:
    """Yield the functions that may contain the bug, innermost first, without those in the list `skip`.

    Addresses that belong to no object are skipped: gdb invents them if a stack is damaged. A module without symbols is
    skipped if the caller has debug information. If the caller has only an exported name (a stripped build), nothing is
    yielded: the next exported name is not where it crashed.
    """
    skipped = load_words(skip) if skip else ()
    nameless_seen = False
    for index, frame in enumerate(stack.frames):
        kind = classify(frame)
        if kind is FrameKind.NAMELESS and not _is_check(stack, index):
            nameless_seen = True
        if kind is not FrameKind.CODE or not frame.function:
            continue
        if nameless_seen and frame.line is None:
            return
        name = plain_name(frame.function)
        if name not in skipped:
            yield name


def from_arguments(stack: CrashStack, _: str | None = None) -> Iterator[str]:
    """Yield the caller names passed as arguments to library functions (func=...), outermost first."""
    for frame in reversed(stack.library_frames):
        for argument in _CALLER.finditer(frame.arguments):
            name = _IDENTIFIER.search(argument[1])  # the argument may be a whole prototype
            if name and _is_code(name[1]):
                yield name[1]


def from_reference_counting(stack: CrashStack, _: str | None = None) -> Iterator[str]:
    """Yield the functions that count references, unless they only lead to an abort."""
    if stack.is_assertion:
        return
    for frame in stack.frames:
        if classify(frame) is FrameKind.ASTERISK_OBJECT:
            yield plain_name(frame.function or "")


def from_modules(stack: CrashStack, _: str | None = None) -> Iterator[str]:
    """Yield the functions that may contain the bug, or the object's name for functions without a name."""
    for frame in stack.frames:
        kind = classify(frame)
        if kind is FrameKind.CODE and frame.function:
            yield plain_name(frame.function)
        elif kind in (FrameKind.NAMELESS, FrameKind.UNKNOWN) and frame.library:
            yield plain_object(frame.library)


def from_all_frames(stack: CrashStack, _: str | None = None) -> Iterator[str]:
    """Yield all functions that have a name."""
    for frame in stack.frames:
        if frame.function:
            yield plain_name(frame.function)


Source = Callable[[CrashStack, str | None], Iterator[str]]
SOURCES: dict[str, Source] = {
    "log": from_log,
    "code": from_code,
    "arguments": from_arguments,
    "reference_counting": from_reference_counting,
    "modules": from_modules,
    "all_frames": from_all_frames,
}
"""The values of `from` in words/signature.toml."""


def unique(names: Iterable[str]) -> Iterator[str]:
    """Yield each name once, in order, so that a recursion looks the same at any depth."""
    return iter(dict.fromkeys(names))


def _is_code(name: str) -> bool:
    return classify(Frame(0, "", function=name)) is FrameKind.CODE


def _is_check(stack: CrashStack, index: int) -> bool:
    """Return True if the nameless frame at `index` is part of an assertion: it calls one, or library code calls it."""
    if not stack.is_assertion:
        return False
    calls_assertion = classify(stack.frames[index - 1]) is FrameKind.ASTERISK_ASSERT
    return calls_assertion or _kind_of_caller(stack.frames[index:]) not in _MAY_BE_CODE


def _kind_of_caller(frames: Sequence[Frame]) -> FrameKind:
    """Return the kind of the first frame that has a name; CODE if there is none."""
    for frame in frames:
        kind = classify(frame)
        if kind is not FrameKind.NAMELESS:
            return kind
    return FrameKind.CODE
