"""Removes what logs, containers, editors and trackers put before each line: line numbers, bullets, times, names.

There are too many forms to list. A line with something unmistakable after its start, such as a frame with an address,
shows what the prefix looks like. The same shape is removed from the following lines, so that the wrapped part of a
frame and its local variables lose it as well.
"""

import re

_MAX_PREFIX_LENGTH = 200
_MAX_TOKENS = 40
_MAX_WORDS = 12

_ANCHOR = re.compile(
    r"#\d{1,6}[ \t]+(?:0x[0-9a-fA-F]{4,16}\b|pc [0-9a-f]{8}|<signal handler called>"
    r"|[A-Za-z_*~][^\s(]{0,200} \((?:[^)]|\)[^)]{0,80}\)){0,400}\)(?:[ \t]+(?:at|from)\b|[ \t]*$|[ \t]{2,}\S+:\d+$))"
    r'|Thread \d{1,9} (?:\((?:Thread|LWP|process)\b|"[^"]{0,64}" (?:received|terminated with) signal )'
    r"|Program (?:terminated with|received) signal "
    r"|\[(?:Current thread is \d|Switching to thread \d|Switching to Thread 0x)"
    r"|(?:TID|Stack trace of thread) \d{1,10}:"
    r"|==\d{1,9}==(?:ERROR:)?[ \t]"
    r"|(?:WARNING|ERROR): (?:Address|Leak|Thread|Memory)Sanitizer: "
)
_HAS_ANCHOR_CHARACTER = re.compile(
    r"[#=]\d|\bThread \d|\bProgram |\[Current|\[Switching|TID \d|of thread \d|Sanitizer: "
)
_STARTS_WITH_ANCHOR = re.compile(
    r"\s*(?:#\d|Thread \d|Program |\[Current|\[Switching|0x|==\d|\((?:gdb|lldb)\)|\* thread)"
)
_TOKEN = re.compile(
    r"[\s>|*+\u2022\u00b7\u2013\u2014\u25aa\u2502\-/;%!'`~:,.=\\\"\u2023\u25e6]+"
    r"|\[[^\[\]\"]{0,80}\]|\([^()\s\"]{0,40}\)|(?P<word>[\w.@/$+-]+(?:\[\d{1,10}\])?)"
)
_TIME = re.compile(r"\d\d?:\d\d\b")
_PLAIN_WORD = re.compile(r"[A-Za-z]")
_SHAPE = re.compile(r"(?P<digits>\d+)|(?P<blanks>\s+)|(?P<word>[A-Za-z_]+)|(?P<other>.)", re.DOTALL)


class PrefixRemover:
    """Removes the prefix of each line, once a line has shown what it looks like."""

    def __init__(self) -> None:
        self._shape: re.Pattern[str] | None = None

    def remove(self, line: str) -> str:
        """Return `line` without its prefix."""
        if _STARTS_WITH_ANCHOR.match(line):
            return line
        if self._shape is not None and (known := self._shape.match(line)):
            return line[known.end() :]
        prefix = _find_prefix(line)
        if not prefix:
            return line
        self._shape = _to_shape(prefix)
        return line[len(prefix) :]

    def knows(self, line: str) -> bool:
        """Return True if `line` starts with the prefix of earlier lines."""
        return self._shape is not None and self._shape.match(line) is not None


def _find_prefix(line: str) -> str | None:
    if not _HAS_ANCHOR_CHARACTER.search(line, 0, _MAX_PREFIX_LENGTH + 40):
        return None
    anchor = _ANCHOR.search(line)
    if not anchor or anchor.start() > _MAX_PREFIX_LENGTH:
        return None
    prefix = line[: anchor.start()]
    return prefix if prefix.strip() and _is_decoration(prefix) else None


def _is_decoration(prefix: str) -> bool:
    """Return True if a program put `prefix` before the line; False for prose, and for a value in memory."""
    position, words = 0, 0
    for _ in range(_MAX_TOKENS):
        if position == len(prefix):
            break
        token = _TOKEN.match(prefix, position)
        if not token:
            return False
        word = token["word"]
        words += bool(word and _PLAIN_WORD.search(word))
        position = token.end()
    if position != len(prefix) or words > _MAX_WORDS or " = " in prefix:
        return False
    return words == 0 or _TIME.search(prefix) is not None or prefix.rstrip()[-1] in ":|]>*-\u2022"


def _to_shape(prefix: str) -> re.Pattern[str]:
    """Return a pattern for prefixes like this one: other numbers and blanks, and other words if it has the time."""
    varies = _TIME.search(prefix) is not None
    parts = []
    for part in _SHAPE.finditer(prefix):
        is_last, is_first = part.end() == len(prefix), part.start() == 0
        if part["digits"]:
            parts.append(r"\d+")
        elif part["blanks"] and is_last:
            parts.append(f"{re.escape(part[0][0])}{{0,{len(part[0])}}}")
        elif part["blanks"]:
            parts.append(r"\s*" if is_first else r"\s+")
        elif part["word"] and varies:
            parts.append("[A-Za-z_]+")
        else:
            parts.append(re.escape(part[0]))
    if not prefix[0].isspace():
        parts.insert(0, r"\s*")
    return re.compile("".join(parts))
