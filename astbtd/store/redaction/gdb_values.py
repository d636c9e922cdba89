r"""A tokenizer for the values that gdb prints: strings in all their forms, and the names of the fields they belong to.

gdb prints a character array as a list of pieces: `"abc", 'x' <repeats 20 times>, "def"...`, or, element by element,
`{112 'p', 97 'a'}`. Here, such a list is one string, and its content is what was in memory: `\r\n` is two characters.
Texts of other origin contain quotes, too: whatever is between two quotes on a line is taken for a string.
The time taken is proportional to the length of the text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

# Begins with a set of characters, so that the text between tokens is skipped quickly.
_TOKEN = re.compile(
    r"""["'{(=)},\n](?:"""
    r"""(?<=")(?:[^"\\\n]|\\[^\n])*+(?:"(?:\.\.\.)?)?"""  # a string that is cut off ends with the line
    r"""|(?<=')(?:[^'\\\n]|\\(?:[0-7]{1,3}|[^\n]))'(?: <repeats (?P<times>\d{1,10}) times>)?"""
    r"""|(?<=[{(=)},\n])|(?<='))"""
)
_PREFIX = re.compile(r"(?:(?<![\w'])(?:[LU]|u8?)|(?<![\w.])-?\d{1,10} [LuU]?)$")
_COLON = re.compile(r"\s{0,4}:(?!:)")
_NUMBER = re.compile(r"\s{0,2}(?P<number>\d{1,20})(?![\w.])")
_MAX_NAME = 80
_ESCAPE = re.compile(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^\n]?)")
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_BETWEEN_PIECES = re.compile(r"\s*(,?)\s*")
_MAX_DEPTH = 64
_MAX_GAP = 40  # characters between the pieces of a string: a comma, or an indented new line
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


@dataclass(frozen=True)
class PrintedNumber:
    """A decimal number that is the value of a field."""

    start: int
    end: int
    value: int
    field: str


@dataclass
class _State:
    """The position in nested structures while the text is read."""

    group: Group = field(default_factory=Group)
    name: str = ""
    stack: list[tuple[Group, str]] = field(default_factory=list)
    too_deep: int = 0

    def open(self) -> None:
        if len(self.stack) >= _MAX_DEPTH:
            self.too_deep += 1
            return
        self.stack.append((self.group, self.name))
        names = (*self.group.names, self.name) if self.name else self.group.names
        self.group = Group(names, parent=self.group)
        self.name = ""

    def close(self) -> None:
        if self.too_deep:
            self.too_deep -= 1
        elif self.stack:
            self.group, _ = self.stack.pop()
            self.name = ""

    def reset(self) -> None:
        self.group, self.name, self.too_deep = Group(), "", 0
        self.stack.clear()

    def set_name(self, name: str) -> None:
        self.name = name
        self.group.fields.add(name)


def read_values(text: str) -> Iterator[PrintedString | PrintedNumber]:
    """Yield the strings and the numbers of fields in the text, in their order."""
    state = _State()
    pieces: list[StringPart] = []
    for token in _TOKEN.finditer(text):
        sign = token[0][0]
        if sign == "\n" and text[token.end() : token.end() + 1] not in ("#", "\n"):
            continue  # neither the next frame nor the end of a paragraph
        piece = _read_piece(text, token) if sign in "\"'" else None
        if pieces and sign != "," and not (piece and _continues(text, pieces[-1], piece)):
            yield _finish(text, pieces, state)
            if "," in text[pieces[-1].end : min(token.start(), pieces[-1].end + _MAX_GAP)]:
                state.name = ""
            pieces = []
        if piece:
            pieces.append(piece)
        elif sign == "," and not pieces:
            state.name = ""
        elif sign == "=":
            yield from _read_field(text, token.start(), state)
        else:
            _read_structure(token, state)
    if pieces:
        yield _finish(text, pieces, state)


def _read_structure(token: "re.Match[str]", state: _State) -> None:
    sign = token[0][0]
    if sign in "{(":
        state.open()
    elif sign in ")}":
        state.close()
    elif sign == "\n":
        state.reset()
    elif sign == '"':
        state.set_name(token[0][1:-1])


def _read_field(text: str, equals: int, state: _State) -> Iterator[PrintedNumber]:
    """Read the name of a field before `=`, and its value if that is a number."""
    if text[equals + 1 : equals + 2] in ("=", ">"):
        return
    start = end = len(text[max(0, equals - 2) : equals].rstrip()) + max(0, equals - 2)
    lowest = max(0, end - _MAX_NAME)
    while start > lowest and (text[start - 1].isalnum() or text[start - 1] in "_@"):
        start -= 1
    name = text[start:end].removesuffix("@entry")
    if not name.isidentifier() or text[start - 1 : start] in (".", "-", ">"):
        return
    state.set_name(name)
    number = _NUMBER.match(text, equals + 1)
    if number:
        yield PrintedNumber(*number.span("number"), int(number["number"]), name)


def _read_piece(text: str, token: "re.Match[str]") -> StringPart | None:
    """Return the piece that a quote begins; None if it begins no piece, but the name of a field in JSON."""
    prefix = _PREFIX.search(text, max(0, token.start() - 14), token.start()) if token.start() else None
    start = prefix.start() if prefix else token.start()
    if token[0][0] == "'":
        before = text[token.start() - 1 : token.start()]
        if len(token[0]) == 1 or (not prefix and (before.isalnum() or before == "_")):  # an apostrophe
            return None
        inner = len(token[0].partition(" <repeats")[0])
        return StringPart(start, token.end(), token.start() + 1, token.start() + inner - 1, int(token["times"] or 1))
    ending = token[0].removesuffix("...") if token[0].endswith('"...') else token[0]
    is_closed = len(ending) > 1 and ending.endswith('"') and not _is_escaped_quote(ending)
    if is_closed and len(ending) <= _MAX_NAME and _COLON.match(text, token.end()):
        return None
    return StringPart(start, token.end(), token.start() + 1, token.start() + len(ending) - is_closed)


def _is_escaped_quote(string: str) -> bool:
    backslashes = len(string) - 1 - len(string[:-1].rstrip("\\"))
    return backslashes % 2 == 1


def _continues(text: str, last: StringPart, piece: StringPart) -> bool:
    """Return whether a piece belongs to the same string as the last one.

    Two strings side by side are one that was wrapped. After a comma, one of them must be a repeated character.
    """
    if piece.start - last.end > _MAX_GAP:
        return False
    between = _BETWEEN_PIECES.fullmatch(text, last.end, piece.start)
    if between is None:
        return False
    if between[1]:
        return bool(last.repeats or piece.repeats)
    return piece.start > last.end and not (last.repeats or piece.repeats)


def _finish(text: str, pieces: list[StringPart], state: _State) -> PrintedString:
    content, segments = _unescape(text, pieces)
    if state.name:
        state.group.texts.setdefault(state.name, content)
    return PrintedString(tuple(pieces), content, state.name, state.group, tuple(segments))


def _unescape(text: str, pieces: list[StringPart]) -> tuple[str, list[Segment]]:
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
