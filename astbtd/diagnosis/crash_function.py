"""Finds the functions that a crash is filed under, or, where functions have no names, the offsets in their modules."""

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
# Kinds of functions that call any code: an unnamed function below them is not a part of them.
_CALLS_ANY_FUNCTION = (FrameKind.THREAD_START, FrameKind.C_LIBRARY, FrameKind.SIGNAL_HANDLER, FrameKind.UNKNOWN)


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
    def deciding_frames(self) -> tuple[Frame, ...]:
        """The innermost frames, up to the first of Asterisk's or a module's own code that serves one purpose only.

        That frame may have no name. If there is none, these are all frames.
        """
        index = self._deciding_index
        return self.frames if index is None else self.frames[: index + 1]

    @property
    def is_decided(self) -> bool:
        """True if there is such a frame."""
        return self._deciding_index is not None

    @property
    def _deciding_index(self) -> int | None:
        for index, frame in enumerate(self.frames):
            is_specific = classify(frame) is FrameKind.CODE and not is_generic(frame)
            if is_specific or self.is_unnamed_code(index):
                return index
        return None

    @property
    def has_unnamed_code(self) -> bool:
        """True if a function of Asterisk or of a module has no name."""
        return any(map(self.is_unnamed_code, range(len(self.frames))))

    def is_unnamed_code(self, index: int) -> bool:
        """Return True if the frame at `index` is code of Asterisk or a module, has no name, and may contain the bug."""
        return classify(self.frames[index]) is FrameKind.NAMELESS and not _is_helper(self, index)

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
    """Yield the functions that may contain the bug, innermost first.

    With a list of names to `skip`, functions of third_party_objects.txt are skipped as well.

    Addresses that belong to no object are skipped: gdb invents them if a stack is damaged. An unnamed function ends the
    search if its offset is known, because that identifies it. If not, its module is skipped if the caller has debug
    information. If the caller has only an exported name (a stripped build), nothing is yielded: the next exported name
    is not where it crashed.
    """
    skipped = load_words(skip) if skip else ()
    nameless_seen = False
    for index, frame in enumerate(stack.frames):
        kind = classify(frame)
        if stack.is_unnamed_code(index):
            if frame.offset is not None:
                return
            nameless_seen = True
        if kind is not FrameKind.CODE or not frame.function:
            continue
        if nameless_seen and frame.line is None:
            return
        name = plain_name(frame.function)
        if name not in skipped and not (skip and is_third_party(frame)):
            yield name


def from_offsets(stack: CrashStack, skip: str | None = None) -> Iterator[str]:
    """Yield `MODULE+OFFSET` of the innermost unnamed function that may contain the bug, then of what calls it.

    Nothing is yielded if a function with a name comes first, or if the offset is not known. Functions in the list
    `skip` do not count.
    """
    skipped = load_words(skip) if skip else ()
    unnamed_seen = False
    for index, frame in enumerate(stack.frames):
        if stack.is_unnamed_code(index):
            if frame.offset is None or frame.library is None:
                return
            unnamed_seen = True
            yield f"{plain_object(frame.library)}+{frame.offset:#x}"
        elif classify(frame) is FrameKind.CODE and frame.function:
            name = plain_name(frame.function)
            if name in skipped or is_third_party(frame):
                continue
            if not unnamed_seen:
                return
            yield name


def is_generic(frame: Frame) -> bool:
    """Return True if a named frame serves many callers: a crash in it does not identify the bug."""
    if frame.function and plain_name(frame.function) in load_words("generic"):
        return True
    return is_third_party(frame)


def is_third_party(frame: Frame) -> bool:
    """Return True if `frame` is in a shared object of another project that Asterisk uses."""
    if not frame.library:
        return False
    return plain_object(frame.library).partition(".so")[0].partition("-")[0] in load_words("third_party_objects")


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
    "offsets": from_offsets,
    "all_frames": from_all_frames,
}
"""The values of `from` in words/signature.toml."""


def unique(names: Iterable[str]) -> Iterator[str]:
    """Yield each name once, in order, so that a recursion looks the same at any depth."""
    return iter(dict.fromkeys(names))


def _is_code(name: str) -> bool:
    return classify(Frame(0, "", function=name)) is FrameKind.CODE


def _is_helper(stack: CrashStack, index: int) -> bool:
    """Return True if the unnamed frame at `index` is a part of an assertion, or of the generic function that calls it.

    That it is a part is known if both are in the same object. A function that calls back (words/callback.txt) may call
    any code.
    """
    if _is_check(stack, index):
        return True
    frame = stack.frames[index]
    caller = next((each for each in stack.frames[index:] if classify(each) is not FrameKind.NAMELESS), None)
    if caller is None or caller.function is None or caller.library is None or caller.library != frame.library:
        return False
    kind = classify(caller)
    serves_many = is_generic(caller) if kind is FrameKind.CODE else kind not in _CALLS_ANY_FUNCTION
    return serves_many and plain_name(caller.function) not in load_words("callback")


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
