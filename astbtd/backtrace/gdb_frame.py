"""Parses one stack frame as gdb prints it: `#2  0x5581 in function (arguments) at FILE:LINE`.

The forms are those of gdb's print_frame (gdb/stack.c). The address is missing for an inlined frame and at the start of
a source line. Without source there is `from LIBRARY`, without a symbol `??`. When a program stops, gdb prints its frame
without the number.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from astbtd.backtrace.lines import MAX_LINE_LENGTH

_MAX_FRAME_LENGTH = 2 * MAX_LINE_LENGTH
_MAX_NAME_LENGTH = 512
_MAX_WRAP_INDENT = 7  # gdb indents a wrapped argument by up to 4 blanks, a local variable by 8
_MAX_LINE_DIGITS = 9

_START = re.compile(r"#(\d{1,9})\s+(?:(0x[0-9a-fA-F]{1,16}) (?:in +)?)?(?=\S)")
_ADDRESS = re.compile(r"(0x[0-9a-fA-F]{1,16})\s*")
_START_WITHOUT_NUMBER = re.compile(r"()(0x[0-9a-fA-F]{1,16}) in (?=[^\s(][^(]* \()")
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*+(?P<closed>")?|'(?:\\(?:[0-7]{1,3}|.)|[^'\\])'|[()]""", re.DOTALL)
_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*+"')
# In columns, as some people arrange them, the location follows without `at`.
_COLUMN_LOCATION = re.compile(r"[^\s:()]+\.\w{1,4}:\d{1,9}$")
_AFTER_ARGUMENTS = re.compile(r"\s*+(?:$|(?:at|from)\s)|\s{2,80}[^\s:()]+\.\w{1,4}:\d{1,9}\s*$")
_SHARED_OBJECT = re.compile(r"\.so(?:\.[\w.]*)?$")
UNKNOWN_NAMES = ("", "??", "???", "n/a", "<unknown>", "(below main)")
"""What programs print for a function whose name is not known."""

# How the text of a complete frame ends, and what may follow it nevertheless.
_COMPLETE = re.compile(r"(?:\)|:\d+|\.so[\w.]*|called>)\s*$")
_LOCATION_FOLLOWS = re.compile(r" *(?:at|from) ")
_LINE_NUMBER_CONTINUES = re.compile(r"[\d.]{1,8}$")
# How a frame looks that was wrapped before its function's name, and before its arguments.
_ENDS_BEFORE_NAME = re.compile(r"#\d+\s*(?:0x[0-9a-fA-F]*(?: i?n?)?)?\s*$")
_ARGUMENTS_FOLLOW = re.compile(r" {0,4}[\w:~<>*&, ]*\((?!More stack)")
_NOT_A_CONTINUATION = re.compile(r"#|\t|\d+\t|[ \t]+[\w$.:<>~]+ = |No (?:locals|symbol)|\(More stack|\.\.\.$|\$\d+ = ")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `function` is None for `??`. `optimized`: an argument or a local variable is `<optimized out>`.

    `offset` is the address relative to the start of `library`, if known.

    `text` is the frame as printed, without its local variables, with wrapped lines joined.
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
    offset: int | None = None


class WrappedFrame:
    """Joins the lines into which a terminal, a pager or gdb wrapped one frame."""

    def __init__(self, line: str, indent: int = 0) -> None:
        """Start with a `line` that satisfies `starts_frame`. It and the following lines are indented by `indent`."""
        start = _match_start(line)
        self.numbered = bool(start and start[1])
        self.level = int(start[1] or 0) if start else 0
        self._indent = indent
        self._parts = [line]
        self._length = len(line)
        self._depth = 0  # of nested parentheses
        self._in_string = False
        self._has_arguments = False
        self._scan(line)

    def is_continued_by(self, line: str) -> bool:
        """Return True if `line` belongs to this frame: its arguments are incomplete, or its location is missing."""
        line = self._outdent(line)
        indent = len(line) - len(line.lstrip(" "))
        if self._length > _MAX_FRAME_LENGTH or indent > _MAX_WRAP_INDENT:
            return False
        if _NOT_A_CONTINUATION.match(line):
            return False
        if self.is_open:
            return True
        text = "".join(self._parts)[-_MAX_NAME_LENGTH:]
        if self._has_arguments:
            return _continues_after_arguments(text, line)
        if _ENDS_BEFORE_NAME.match(text):
            return "(" in line
        wrapped_by_gdb = indent > 0 or " in " in text
        return wrapped_by_gdb and _ARGUMENTS_FOLLOW.match(line) is not None

    @property
    def is_open(self) -> bool:
        """True if the list of arguments is not closed yet."""
        return self._in_string or self._depth > 0

    def append(self, line: str) -> None:
        """Add a continuation line."""
        line = self._outdent(line)
        # A terminal wraps inside a word. gdb wraps at a blank, and indents the next line.
        part = " " + line.lstrip(" ") if self._is_wrapped_at_blank(line) else line
        self._parts.append(part)
        self._length += len(part)
        self._scan(part)

    def to_frame(self) -> Frame:
        """Parse the joined lines."""
        return parse_gdb_frame("".join(self._parts))

    def _is_wrapped_at_blank(self, line: str) -> bool:
        if line.startswith(" ") or self._parts[-1].endswith((" in", " at", " from")):
            return True
        return line.startswith("(") and self._depth == 0

    def _outdent(self, line: str) -> str:
        return line.removeprefix(" " * self._indent) if self._indent else line

    def _scan(self, part: str) -> None:
        """Update the state of the argument list: nested parentheses, and whether a string is open."""
        start = 0
        if self._in_string:
            end = _REST_OF_STRING.match(part)
            if not end:
                return
            start = end.end()
        self._in_string = False
        for token in _TOKEN.finditer(part, start):
            self._in_string = token[0][0] == '"' and not token["closed"]
            if token[0] == "(":
                self._depth += 1
                self._has_arguments = True
            elif token[0] == ")":
                self._depth = max(0, self._depth - 1)


def starts_frame(line: str) -> bool:
    """Return True if `line` is the first line of a frame."""
    return _match_start(line) is not None


def is_optimized(text: str) -> bool:
    """Return True if gdb printed `<optimized out>` in `text`. Inside a string, it is memory and does not count."""
    return "optimized out>" in text and "optimized out>" in _TOKEN.sub("", text)


def parse_gdb_frame(text: str) -> Frame:
    """Parse a frame that is on one line. Raise ValueError unless the text satisfies `starts_frame`."""
    start = _match_start(text)
    if not start:
        raise ValueError("not a frame")
    level, address, rest = int(start[1] or 0), start[2], text[start.end() :]
    if rest.startswith("<signal handler called>"):
        return Frame(level, text.rstrip(), signal_handler=True)
    if only_address := _ADDRESS.fullmatch(rest):  # how elfutils prints a frame without a name
        return Frame(level, text.rstrip(), int(only_address[1], 16))
    name, arguments, location = _split_frame(rest)
    file, line, library = _parse_location(location)
    return Frame(
        level=level,
        text=text.rstrip(),
        address=int(address, 16) if address else None,
        function=None if name in UNKNOWN_NAMES else _intern(name[:_MAX_NAME_LENGTH]),
        arguments=arguments,
        file=file,
        line=line,
        library=library,
        optimized=is_optimized(arguments),
    )


def _match_start(line: str) -> re.Match[str] | None:
    if line.startswith("#"):
        return _START.match(line)
    if line.startswith("0x"):
        return _START_WITHOUT_NUMBER.match(line)
    return None


def _continues_after_arguments(text: str, line: str) -> bool:
    """Return True if `line` continues the frame `text`, whose argument list is closed."""
    if not _COMPLETE.search(text):
        return True
    ends_with_arguments = text.rstrip().endswith(")")
    expected = _LOCATION_FOLLOWS if ends_with_arguments else _LINE_NUMBER_CONTINUES
    return expected.match(line) is not None


def _split_frame(rest: str) -> tuple[str, str, str]:
    """Return a frame's function, arguments and location."""
    parentheses = _find_arguments(rest)
    if parentheses is None:
        return _split_incomplete_frame(rest)
    opening, closing = parentheses
    name = rest[:opening].strip().removeprefix("*")  # old glibc's own aliases: *__GI_abort
    return name, rest[opening + 1 : closing], rest[closing + 1 :].strip()


def _find_arguments(rest: str) -> tuple[int, int] | None:
    """Return where the parentheses of the argument list are.

    C++ names contain parentheses as well. The arguments are the first group that follows a blank, and that either ends
    the frame or precedes the location.
    """
    depth, opening = 0, 0
    for token in _TOKEN.finditer(rest):
        if token[0] == "(":
            if depth == 0:
                opening = token.start()
            depth += 1
        elif token[0] == ")":
            depth = max(0, depth - 1)
            if depth == 0 and _are_arguments(rest, opening, token.end()):
                return opening, token.start()
    return None


def _are_arguments(rest: str, opening: int, end: int) -> bool:
    follows_blank = opening > 0 and rest[opening - 1].isspace()
    return follows_blank and _AFTER_ARGUMENTS.match(rest, end) is not None


def _split_incomplete_frame(rest: str) -> tuple[str, str, str]:
    """Do the same as `_split_frame` for a frame that is cut short, or whose argument list somebody removed."""
    name, opening, arguments = rest.partition(" (")
    if opening:
        return name.strip(), arguments, ""
    for word in (" at ", " from "):
        name, found, location = rest.partition(word)
        if found:
            return name.strip().removesuffix("()"), "", word.strip() + " " + location.strip()
    return rest.strip().removesuffix("()"), "", ""


def _parse_location(text: str) -> tuple[str | None, int | None, str | None]:
    """Return the file, the line and the shared object that `at ...` or `from ...` names."""
    if _COLUMN_LOCATION.match(text):
        return *_parse_source_location(text), None
    word, _, location = text.partition(" ")
    location = location.strip()
    if word == "from":
        return None, None, _intern(location) or None
    if word != "at":
        return None, None, None
    if _SHARED_OBJECT.search(location):  # some programs write `at` before a shared object as well
        return None, None, _intern(location)
    file, line = _parse_source_location(location)
    return file, line, None


def _parse_source_location(location: str) -> tuple[str | None, int | None]:
    file, colon, line = location.rpartition(":")
    if colon and line.isdecimal() and len(line) <= _MAX_LINE_DIGITS:
        return _intern(file), int(line)
    return location or None, None


@lru_cache(maxsize=4096)
def _intern(text: str) -> str:
    """Return the same object for equal texts: a backtrace repeats a few names of functions and files many times."""
    return text
