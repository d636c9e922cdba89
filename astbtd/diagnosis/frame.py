"""Reads one stack frame as gdb prints it: `#2  0x5581 in function (arguments) at FILE:LINE`.

The forms are those of gdb's print_frame (gdb/stack.c): the address is missing for an inlined frame and at the start
of a line of source, `from LIBRARY` stands where there is no source, `??` where there is no symbol.
"""

import re
from dataclasses import dataclass

LONGEST_LINE = 1 << 14  # characters of a line that are looked at
_LONGEST_FRAME = 1 << 15
_LONGEST_NAME = 512
_WIDEST_WRAP = 7  # gdb indents a wrapped argument by up to 4 blanks, a local variable by 8

_START = re.compile(r"#(\d{1,9})\s+(?:(0x[0-9a-fA-F]{1,16}) in )?(?=\S)")
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*+(?P<closed>")?|'(?:\\(?:[0-7]{1,3}|.)|[^'\\])'|[()]""", re.DOTALL)
_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*+"')
_AFTER_ARGUMENTS = re.compile(r"\s*+(?:$|(?:at|from)\s)")
_CUT_PATH = re.compile(r"\) at [^\s:]{1,400}$")
_REST_OF_PATH = re.compile(r"[^\s:()]{1,400}:\d{1,9}$")


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

    def __init__(self, line: str) -> None:
        self._parts = [line]
        self._length = len(line)
        self._depth = 0
        self._in_string = False
        self._scan(line)

    def continues(self, line: str) -> bool:
        """Whether `line` belongs to this frame: an argument list is open, or the place in the source follows."""
        body = line.lstrip(" ")
        if self._length > _LONGEST_FRAME or not body or len(line) - len(body) > _WIDEST_WRAP or body[0] == "\t":
            return False
        if self._in_string or self._depth > 0:
            return True
        last = self._parts[-1]
        if body.startswith(("at ", "from ")):
            return last.rstrip().endswith(")")
        return bool(_CUT_PATH.search(last[-_LONGEST_NAME:]) and _REST_OF_PATH.match(line))

    def add(self, line: str) -> None:
        """Joins `line`; a terminal cuts inside a word, gdb at a blank and indents."""
        part = " " + line.lstrip(" ") if line.startswith(" ") else line
        self._parts.append(part)
        self._length += len(part)
        self._scan(part)

    def frame(self) -> Frame:
        """The frame that the gathered lines describe."""
        return read("".join(self._parts))

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


def starts_frame(line: str) -> bool:
    """Whether `line` is the first line of a frame."""
    return line.startswith("#") and _START.match(line) is not None


def is_optimized(text: str) -> bool:
    """Whether gdb says in `text` that a value was optimised out; what stands in a string is memory, not gdb's word."""
    return "optimized out>" in text and "optimized out>" in _TOKEN.sub("", text)


def read(text: str) -> Frame:
    """The frame that `text`, one line, describes. The text must satisfy `starts_frame`."""
    start = _START.match(text)
    if not start:
        raise ValueError("not a frame")
    level, address, rest = int(start[1]), start[2], text[start.end() :]
    if rest.startswith("<signal handler called>"):
        return Frame(level, text.rstrip(), signal_handler=True)
    name, arguments, place = _split(rest)
    file, line, library = _place(place)
    return Frame(
        level=level,
        text=text.rstrip(),
        address=int(address, 16) if address else None,
        function=None if name in ("", "??") else name[:_LONGEST_NAME],
        arguments=arguments,
        file=file,
        line=line,
        library=library,
        optimized=is_optimized(arguments),
    )


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
    if place.startswith("from "):
        return None, None, place[5:].strip() or None
    if not place.startswith("at "):
        return None, None, None
    file, colon, line = place[3:].strip().rpartition(":")
    if colon and line.isdecimal() and len(line) < 10:
        return file, int(line), None
    return place[3:].strip() or None, None, None


def _depth_change(mark: str) -> int:
    return 1 if mark == "(" else -1 if mark == ")" else 0
