"""The content of strings that gdb printed, and where each character of it is in the text."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_ESCAPE = re.compile(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^\n]?)")
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_MAX_REPEATS = 64  # characters; a longer run holds no more information


@dataclass
class Group:
    """The fields of one structure, or the arguments or variables of one frame."""

    names: tuple[str, ...] = ()
    """The name of the structure, preceded by those of the structures that contain it."""
    fields: set[str] = field(default_factory=set)
    parent: "Group | None" = None
    texts: dict[str, str] = field(default_factory=dict)
    """The contents of the fields that are strings, by their names; the first of each name."""


@dataclass(frozen=True)
class StringPart:
    """A part of a printed string. `start` and `end` are the offsets of the token, `inner_` those between its quotes."""

    start: int
    end: int
    inner_start: int
    inner_end: int
    repeats: int = 0
    """How often a character is repeated; 0 if the piece is a string in double quotes."""


class Segment(NamedTuple):
    """A part of the content of a string, and where it is in the text."""

    content_start: int
    text_start: int
    length: int
    """The length in the text of an escape sequence or of a repeated character; 0 if the text is the content."""
    is_repeated: bool = False


@dataclass(frozen=True)
class PrintedString:
    """A string as printed, with its content as it was in memory, and the field it belongs to ("" if unknown)."""

    pieces: tuple[StringPart, ...]
    content: str
    field: str
    group: Group
    _segments: tuple["Segment", ...]

    @property
    def start(self) -> int:
        """The offset of the first piece in the text."""
        return self.pieces[0].start

    @property
    def end(self) -> int:
        """The offset after the last piece in the text."""
        return self.pieces[-1].end

    def locate(self, start: int, end: int) -> tuple[int, int, str, str]:
        """Return where the characters from `start` to `end` of the content are in the text.

        Also return the quotes to write before and after a replacement, if one of its ends was outside quotes.
        """
        first, last = self._segment(start), self._segment(end - 1)
        text_start = first.text_start if first.length else first.text_start + start - first.content_start
        text_end = last.text_start + (last.length or end - last.content_start)
        return text_start, text_end, '"' if first.is_repeated else "", '"' if last.is_repeated else ""

    def _segment(self, offset: int) -> "Segment":
        return self._segments[bisect_right(self._segments, offset, key=lambda segment: segment.content_start) - 1]


def unescape(text: str, pieces: list[StringPart]) -> tuple[str, list[Segment]]:
    """Return the content of a string that was printed in pieces, and its segments in order."""
    parts: list[str] = []
    segments: list[Segment] = []
    length = 0
    for part, segment in _read_segments(text, pieces):
        parts.append(part)
        segments.append(segment._replace(content_start=length))
        length += len(part)
    return "".join(parts), segments


def _read_segments(text: str, pieces: list[StringPart]) -> Iterator[tuple[str, Segment]]:
    """Yield parts of the content with their segments, whose offsets in the content are not yet known."""
    for piece in pieces:
        if piece.repeats:
            character = _character(text[piece.inner_start : piece.inner_end])
            yield character * min(piece.repeats, _MAX_REPEATS), Segment(0, piece.start, piece.end - piece.start, True)
            continue
        at = piece.inner_start
        for escape in _ESCAPE.finditer(text, piece.inner_start, piece.inner_end):
            if escape.start() > at:
                yield text[at : escape.start()], Segment(0, at, 0)
            yield _character(escape[0]), Segment(0, escape.start(), len(escape[0]))
            at = escape.end()
        if at < piece.inner_end:
            yield text[at : piece.inner_end], Segment(0, at, 0)


def _character(printed: str) -> str:
    """Return the character that gdb printed, with or without an escape sequence."""
    if not printed.startswith("\\") or len(printed) == 1:
        return printed
    escape = printed[1:]
    if escape[0] in "01234567":
        return chr(int(escape, 8))
    if escape[0] in "xuU" and len(escape) > 1:
        code = int(escape[1:], 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"
    return _SIMPLE_ESCAPES.get(escape, escape)
