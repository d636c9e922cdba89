"""Names the code that a crash is filed under: functions, or what else there is where functions have no names."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_kind import ASSERTING, Role, plain_name, plain_object, role
from astbtd.diagnosis.word_lists import words

_CALLER = re.compile(r'\b(?:func|function|funcname|func_name)=(?:[\w@]+=)?[^"=]{0,200}"([^"]{1,400})"')
_IDENTIFIER = re.compile(r"([A-Za-z_][\w:~]*) ?(?:\(|$)")
_OPEN_ENDED = (Role.CODE, Role.NAMELESS, Role.UNKNOWN)


@dataclass(frozen=True)
class Stack:
    """The frames in which a thread crashed, innermost first: not those of a signal's handler.

    `asserted` is the function whose assertion failed, as Asterisk's log has it; empty if it does not say which, None if
    it was not the program itself that printed these frames.
    """

    frames: tuple[Frame, ...]
    asserted: str | None = None

    @classmethod
    def of(cls, frames: Sequence[Frame], asserted: str | None = None) -> "Stack":
        """What crashed in a thread of these frames: a handler's frames are not, the code that it interrupted is."""
        handlers = [index for index, frame in enumerate(frames) if frame.signal_handler]
        interrupted = frames[handlers[0] + 1 :] if handlers else ()
        return cls(tuple(interrupted or frames), asserted)

    @property
    def machinery(self) -> tuple[Frame, ...]:
        """The innermost frames, up to the first that is not machinery."""
        ends = (index for index, frame in enumerate(self.frames) if role(frame) in _OPEN_ENDED)
        return self.frames[: next(ends, len(self.frames))]

    @property
    def parts(self) -> frozenset[Role]:
        """The parts that the machinery plays."""
        return frozenset(map(role, self.machinery))

    @property
    def asserting(self) -> bool:
        """Whether the program itself gave up."""
        return self.asserted is not None or not ASSERTING.isdisjoint(self.parts)


def asserted_in(stack: Stack, _: str | None = None) -> Iterator[str]:
    """The function that the log names, if it is not one of those that check on behalf of others."""
    if stack.asserted and role(Frame(0, "", function=stack.asserted)) is Role.CODE:
        yield stack.asserted


def code(stack: Stack, skip: str | None = None) -> Iterator[str]:
    """The functions that are no machinery, innermost first, none that stands in the list `skip`.

    Addresses that belong to no object are passed over, as gdb makes them up where a stack is damaged. So is a module
    without symbols that a build with symbols called. Where there are only the names that a stripped build exports, the
    next such name says nothing of where it crashed.
    """
    skipped = words(skip) if skip else ()
    nameless = False
    for index, frame in enumerate(stack.frames):
        part = role(frame)
        if part is Role.NAMELESS:
            nameless = nameless or not (stack.asserting and _checks(stack.frames, index))
        if part is not Role.CODE or not frame.function:
            continue
        if nameless and frame.line is None:
            return
        if (name := plain_name(frame.function)) not in skipped:
            yield name


def told_callers(stack: Stack, _: str | None = None) -> Iterator[str]:
    """The callers that the machinery was told, outermost first."""
    for frame in reversed(stack.machinery):
        for told in _CALLER.finditer(frame.arguments):
            name = _IDENTIFIER.search(told[1])
            if name and role(Frame(0, "", function=name[1])) is Role.CODE:
                yield name[1]


def objects(stack: Stack, _: str | None = None) -> Iterator[str]:
    """The functions that count references, unless they are only on the way to an abort."""
    if not stack.asserting:
        yield from (plain_name(frame.function or "") for frame in stack.frames if role(frame) is Role.ASTERISK_OBJECT)


def modules(stack: Stack, _: str | None = None) -> Iterator[str]:
    """The functions that are no machinery; where one has no name, the object it is in."""
    for frame in stack.frames:
        part = role(frame)
        if part is Role.CODE and frame.function:
            yield plain_name(frame.function)
        elif part in (Role.NAMELESS, Role.UNKNOWN) and frame.library:
            yield plain_object(frame.library)


def machinery(stack: Stack, _: str | None = None) -> Iterator[str]:
    """All functions that have a name."""
    return (plain_name(frame.function) for frame in stack.frames if frame.function)


Source = Callable[[Stack, str | None], Iterator[str]]
SOURCES: dict[str, Source] = {
    "log": asserted_in,
    "code": code,
    "arguments": told_callers,
    "objects": objects,
    "modules": modules,
    "machinery": machinery,
}
"""What `from` may say in words/signature.toml."""


def once(names: Iterable[str]) -> Iterator[str]:
    """Each name where it first stands, so that a recursion looks the same however deep it went."""
    return iter(dict.fromkeys(names))


def _checks(frames: Sequence[Frame], index: int) -> bool:
    """Whether a frame without a name is part of the way to an assertion: it called it, or machinery called it."""
    caller = next((role(frame) for frame in frames[index:] if role(frame) is not Role.NAMELESS), Role.CODE)
    return caller not in _OPEN_ENDED or role(frames[index - 1]) is Role.ASTERISK_ASSERT
