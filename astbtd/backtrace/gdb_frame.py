"""Reads one stack frame as gdb prints it: `#2  0x5581 in function (arguments) at FILE:LINE`.

The forms are those of gdb's print_frame (gdb/stack.c): the address is missing for an inlined frame and at the start
of a line of source, `from LIBRARY` stands where there is no source, `??` where there is no symbol. Where a program
stops, gdb prints its frame without the number.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from astbtd.backtrace.lines import LONGEST_LINE

_LONGEST_FRAME = 2 * LONGEST_LINE
_LONGEST_NAME = 512
_WIDEST_WRAP = 7  # gdb indents a wrapped argument by up to 4 blanks, a local variable by 8

_START = re.compile(r"#(\d{1,9})\s+(?:(0x[0-9a-fA-F]{1,16}) (?:in )?)?(?=\S)")
_ADDRESS = re.compile(r"(0x[0-9a-fA-F]{1,16})\s*")
_STOPPED_AT = re.compile(r"()(0x[0-9a-fA-F]{1,16}) in (?=[^\s(][^(]* \()")
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*+(?P<closed>")?|'(?:\\(?:[0-7]{1,3}|.)|[^'\\])'|[()]""", re.DOTALL)
_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*+"')
_AFTER_ARGUMENTS = re.compile(r"\s*+(?:$|(?:at|from)\s)")
_SHARED_OBJECT = re.compile(r"\.so(?:\.[\w.]*)?$")
NAMELESS = ("", "??", "???", "n/a", "<unknown>", "(below main)")

# How a frame's text ends when nothing is missing, and what may follow all the same.
_COMPLETE = re.compile(r"(?:\)|:\d+|\.so[\w.]*|called>)\s*$")
_PLACE_FOLLOWS = re.compile(r" *(?:at|from) ")
_NUMBER_GOES_ON = re.compile(r"[\d.]{1,8}$")
_WITHOUT_NAME = re.compile(r"#\d+\s*(?:0x[0-9a-fA-F]*(?: i?n?)?)?\s*$")
_ARGUMENTS_FOLLOW = re.compile(r" {0,4}[\w:~<>*&, ]*\((?!More stack)")
_OF_SOMETHING_ELSE = re.compile(r"#|\t|\d+\t|[ \t]+[\w$.:<>~]+ = |No (?:locals|symbol)|\(More stack|\.\.\.$|\$\d+ = ")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `function` is None for `??`; `optimized` says that an argument or a local is `<optimized out>`.

    `text` is the frame as printed, without its locals, wrapped lines joined.
    """

    level: int
    text: str
    address: int | None = None
    function: str | None = None
    arguments: str = ""
    file: str | None = None
    line: int | None = None
    library: str | None = None
    signal_handler: bool = False
    optimized: bool = False


class FrameText:
    """Gathers the lines that a terminal, a pager or gdb made of one frame."""

    def __init__(self, line: str, indent: int = 0) -> None:
        """`line` satisfies `starts_frame`; it stood `indent` blanks to the right, and the others will, too."""
        start = _started(line)
        self.numbered = bool(start and start[1])
        self.level = int(start[1] or 0) if start else 0
        self._indent = indent
        self._parts = [line]
        self._length = len(line)
        self._depth = 0
        self._in_string = False
        self._has_arguments = False
        self._scan(line)

    def continues(self, line: str) -> bool:
        """Whether `line` belongs to this frame: an argument list is open, or its place in the source is not told."""
        line = self._outdented(line)
        indent = len(line) - len(line.lstrip(" "))
        if self._length > _LONGEST_FRAME or indent > _WIDEST_WRAP or _OF_SOMETHING_ELSE.match(line):
            return False
        if self.is_open:
            return True
        text = "".join(self._parts)[-_LONGEST_NAME:]
        if self._has_arguments:
            return _goes_on(text, line)
        if _WITHOUT_NAME.match(text):
            return "(" in line
        return (indent > 0 or " in " in text) and _ARGUMENTS_FOLLOW.match(line) is not None

    @property
    def is_open(self) -> bool:
        """Whether the list of arguments has no end yet."""
        return self._in_string or self._depth > 0

    def add(self, line: str) -> None:
        """Joins `line`; a terminal cuts inside a word, gdb at a blank and indents."""
        line, last = self._outdented(line), self._parts[-1]
        at_blank = (
            line.startswith(" ") or last.endswith((" in", " at", " from")) or (line.startswith("(") and not self._depth)
        )
        part = " " + line.lstrip(" ") if at_blank else line
        self._parts.append(part)
        self._length += len(part)
        self._scan(part)

    def frame(self) -> Frame:
        """The frame that the gathered lines describe."""
        return read("".join(self._parts))

    def _outdented(self, line: str) -> str:
        return line.removeprefix(" " * self._indent) if self._indent else line

    def _scan(self, part: str) -> None:
        start = 0
        if self._in_string:
            end = _REST_OF_STRING.match(part)
            if not end:
                return
            start = end.end()
        self._in_string = False
        for token in _TOKEN.finditer(part, start):
            self._in_string = token[0][0] == '"' and not token["closed"]
            self._depth = max(0, self._depth + _depth_change(token[0]))
            self._has_arguments = self._has_arguments or self._depth > 0


def starts_frame(line: str) -> bool:
    """Whether `line` is the first line of a frame."""
    return _started(line) is not None


def is_optimized(text: str) -> bool:
    """Whether gdb says in `text` that a value was optimised out; what stands in a string is memory, not gdb's word."""
    return "optimized out>" in text and "optimized out>" in _TOKEN.sub("", text)


def read(text: str) -> Frame:
    """The frame that `text`, one line, describes. The text must satisfy `starts_frame`."""
    start = _started(text)
    if not start:
        raise ValueError("not a frame")
    level, address, rest = int(start[1] or 0), start[2], text[start.end() :]
    if rest.startswith("<signal handler called>"):
        return Frame(level, text.rstrip(), signal_handler=True)
    if bare := _ADDRESS.fullmatch(rest):  # and nothing else: elfutils' form of a frame without a name
        return Frame(level, text.rstrip(), int(bare[1], 16))
    name, arguments, place = _split(rest)
    file, line, library = _place(place)
    return Frame(
        level=level,
        text=text.rstrip(),
        address=int(address, 16) if address else None,
        function=None if name in NAMELESS else _shared(name[:_LONGEST_NAME]),
        arguments=arguments,
        file=file,
        line=line,
        library=library,
        optimized=is_optimized(arguments),
    )


def _started(line: str) -> re.Match[str] | None:
    return _START.match(line) if line.startswith("#") else _STOPPED_AT.match(line) if line.startswith("0x") else None


def _goes_on(text: str, line: str) -> bool:
    """Whether `line` goes on with a frame whose arguments are all there."""
    if not _COMPLETE.search(text):
        return True
    return (_PLACE_FOLLOWS if text.rstrip().endswith(")") else _NUMBER_GOES_ON).match(line) is not None


def _split(rest: str) -> tuple[str, str, str]:
    """The function, its arguments and where it is.

    The arguments are the first group of parentheses after a blank that ends the frame or precedes a place: a C++ name
    has groups of its own.
    """
    depth, opened = 0, 0
    for token in _TOKEN.finditer(rest):
        if token[0] == "(" and depth == 0:
            opened = token.start()
        depth = max(0, depth + _depth_change(token[0]))
        if token[0] == ")" and depth == 0 and _ends_arguments(rest, opened, token.end()):
            return rest[:opened].strip(), rest[opened + 1 : token.start()], rest[token.end() :].strip()
    return _split_unfinished(rest)


def _ends_arguments(rest: str, opened: int, end: int) -> bool:
    return opened > 0 and rest[opened - 1].isspace() and _AFTER_ARGUMENTS.match(rest, end) is not None


def _split_unfinished(rest: str) -> tuple[str, str, str]:
    """The same for a frame that was cut short, or whose argument list somebody left out."""
    name, opened, arguments = rest.partition(" (")
    if opened:
        return name.strip(), arguments, ""
    for word in (" at ", " from "):
        name, found, place = rest.partition(word)
        if found:
            return name.strip().removesuffix("()"), "", word.strip() + " " + place.strip()
    return rest.strip().removesuffix("()"), "", ""


def _place(place: str) -> tuple[str | None, int | None, str | None]:
    """The file, the line and the shared object that `at ...` or `from ...` names."""
    word, _, where = place.partition(" ")
    where = where.strip()
    if word == "from" or (word == "at" and _SHARED_OBJECT.search(where)):
        return None, None, _shared(where) or None
    if word != "at":
        return None, None, None
    file, colon, line = where.rpartition(":")
    if colon and line.isdecimal() and len(line) < 10:
        return _shared(file), int(line), None
    return where or None, None, None


@lru_cache(maxsize=4096)
def _shared(text: str) -> str:
    """The same text, once: a backtrace names few functions and files, many times."""
    return text


def _depth_change(mark: str) -> int:
    return 1 if mark == "(" else -1 if mark == ")" else 0
