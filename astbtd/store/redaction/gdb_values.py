r"""A tokenizer for the values that gdb prints: strings in all their forms, and the names of the fields they belong to.

gdb prints a character array as a list of pieces: `"abc", 'x' <repeats 20 times>, "def"...`, or, element by element,
`{112 'p', 97 'a'}`. Here, such a list is one string, and its content is what was in memory: `\r\n` is two characters.
Texts of other origin contain quotes, too: whatever is between two quotes on a line is taken for a string.
The time taken is proportional to the length of the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from astbtd.store.redaction.printed_strings import Group, PrintedString, StringPart, unescape

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
_MAX_PREFIX = 14  # characters: a number with its sign, a space, and the width of the character
_BETWEEN_PIECES = re.compile(r"\s*(,?)\s*")
_MAX_DEPTH = 64
_MAX_GAP = 40  # characters between the pieces of a string: a comma, or an indented new line


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
    start, end = _name_before(text, equals)
    name = text[start:end].removesuffix("@entry")
    if not name.isidentifier() or text[start - 1 : start] in (".", "-", ">"):
        return
    state.set_name(name)
    number = _NUMBER.match(text, equals + 1)
    if number:
        yield PrintedNumber(*number.span("number"), int(number["number"]), name)


def _name_before(text: str, equals: int) -> tuple[int, int]:
    """Return where the name before `=` starts and ends, without the spaces between them."""
    lowest = max(0, equals - 2)
    start = end = lowest + len(text[lowest:equals].rstrip())
    while start > max(0, end - _MAX_NAME) and (text[start - 1].isalnum() or text[start - 1] in "_@"):
        start -= 1
    return start, end


def _read_piece(text: str, token: "re.Match[str]") -> StringPart | None:
    """Return the piece that a quote begins; None if it begins no piece, but the name of a field in JSON."""
    prefix = _PREFIX.search(text, max(0, token.start() - _MAX_PREFIX), token.start()) if token.start() else None
    start = prefix.start() if prefix else token.start()
    if token[0].startswith("'"):
        if not prefix and _is_apostrophe(text, token):
            return None
        return _read_character(token, start)
    return _read_string(text, token, start)


def _is_apostrophe(text: str, token: "re.Match[str]") -> bool:
    before = text[token.start() - 1 : token.start()]
    return before.isalnum() or before == "_"


def _read_character(token: "re.Match[str]", start: int) -> StringPart | None:
    """Return a character in single quotes, with the number of its repetitions; None if the quote is not closed."""
    if len(token[0]) == 1:
        return None
    quoted = token[0].partition(" <repeats")[0]
    inner_end = token.start() + len(quoted) - 1
    return StringPart(start, token.end(), token.start() + 1, inner_end, int(token["times"] or 1))


def _read_string(text: str, token: "re.Match[str]", start: int) -> StringPart | None:
    """Return a string in double quotes, which may be cut short; None if it is the name of a field in JSON."""
    quoted = token[0].removesuffix("...") if token[0].endswith('"...') else token[0]
    is_closed = len(quoted) > 1 and quoted.endswith('"') and not _is_escaped_quote(quoted)
    may_be_name = is_closed and len(quoted) <= _MAX_NAME
    if may_be_name and _COLON.match(text, token.end()):
        return None
    inner_end = token.start() + len(quoted) - is_closed
    return StringPart(start, token.end(), token.start() + 1, inner_end)


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
    content, segments = unescape(text, pieces)
    if state.name:
        state.group.texts.setdefault(state.name, content)
    return PrintedString(tuple(pieces), content, state.name, state.group, tuple(segments))
