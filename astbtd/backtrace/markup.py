"""Removes what web pages, terminals and editors add to the characters of a line: tags, entities, colours, blanks.

Trackers show backtraces as HTML, Markdown, Jira markup or BBCode, terminals colour them, and mail and chat programs
replace blanks. Only the markup that programs are known to add is removed: gdb itself prints `<optimized out>`,
`<main_arena>` and backslashes.

A text may have lost its line ends. A line is split before each frame then, but never inside a string: strings from the
crashed process's memory must not become frames.
"""

import html
import re

from astbtd.backtrace.log_events import contains_any

# Colours and other control sequences (ECMA-48). In text copied from a web page, the escape character may be missing,
# or be shown as `^[`.
_ESCAPE = re.compile(
    r"(?:\x1b|\^\[|\u241b|\ufffd(?=\[\d))(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\^_])"
)
_COLOUR_WITHOUT_ESCAPE = re.compile(r"\[(?:\d{1,2};){0,4}\d{1,2}m")
_BLANKS = str.maketrans(
    {
        **dict.fromkeys(
            "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000", " "
        ),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", ""),
        **dict.fromkeys("\u201c\u201d", '"'),
    }
)
_LINE_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|p|div|li|tr)\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:pre|code|br|p|div|span|b|i|em|strong|tt|font|li|ul|ol|blockquote|t[drh]|t(?:able|body|head)|a|samp|kbd|"
    r"h[1-6r]|body|html|head|details|summary|mark|small|section|article|u)"
    r"(?:\s[^<>]{0,400})?/?>"
    r"|\{/?(?:noformat|code|quote|panel|color|monospaced)(?::[^{}]{0,100})?\}"
    r"|\[/?(?:code|quote|pre|spoiler)(?:=[^\[\]]{0,40})?\]",
    re.IGNORECASE,
)
_TAG_STARTS = ("<", "{", "[/", "[code", "[quote", "[pre", "[spoiler")
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,5}|#x[0-9a-fA-F]{1,5});")
_ESCAPED_MARKDOWN = re.compile(r"\\(?:(\\)|([_<>*#\[\]~|`{}]))")
# `#0` in backquotes, in bold, as a link, or with a backslash
_MARKED_NUMBER = re.compile(r"(?:\\|`|\*\*|__|\[)+(#\d{1,6})(?:`|\*\*|__|\](?:\([^()\s]{0,300}\))?)*(?=[ \t:])")
_BOLD = re.compile(r"(?<!\*)\*\*(?=[^\s*])|(?<=[^\s*])\*\*(?!\*)")
_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*+(?:"|$)|'(?:\\(?:[0-7]{1,3}|.)|[^'\\])'""", re.DOTALL)
# Before what a line without line ends is split: a frame with its address, a frame with arguments, a heading.
_NEXT_LINE = re.compile(
    r"(?<=[\w).:?\]>])[ \t]+(?="
    r"#\d{1,5}[ \t]+(?:0x[0-9a-f]{1,16} in |[A-Za-z_][\w:~.@<>*&]*[ \t]?\(|<signal handler called>)"
    r"|# ?\d{1,5}: (?:\[0x|/)"
    r"|Thread \d{1,6} \((?:Thread 0x|LWP |process )"
    r"|Program terminated with signal )"
)


def split_joined_lines(line: str) -> list[str]:
    """Return the lines that `line` stands for, without markup. That is nearly always the line itself."""
    line = _clean_characters(line)
    pieces = [line]
    if "<" in line and _LINE_BREAK.search(line):
        pieces = _split(_LINE_BREAK, line)
    if " #" in line or "\t#" in line or " Thread " in line:
        pieces = [part for piece in pieces for part in _split(_NEXT_LINE, piece)]
    return [_remove_markup(piece) for piece in pieces]


def clean_line(line: str) -> str:
    """Return `line` without markup. It is not split, because it may begin inside a string."""
    return _remove_markup(_clean_characters(line))


# In the following functions, each pattern is tried only if a cheap test passes: they run for every line of texts of any
# length.


def _clean_characters(line: str) -> str:
    if not line.isascii():
        return _remove_colours(line.translate(_BLANKS))
    return _remove_colours(line) if "\x1b" in line or "[" in line else line


def _remove_colours(line: str) -> str:
    if "\x1b" in line or "^[" in line or not line.isascii():
        line = _ESCAPE.sub("", line)
    if _COLOUR_WITHOUT_ESCAPE.search(line):
        line = _COLOUR_WITHOUT_ESCAPE.sub("", line).replace("[m", "")
    return line


def _remove_markup(line: str) -> str:
    if contains_any(line, _TAG_STARTS):
        line = _TAG.sub("", line)
    if "&" in line:
        line = _ENTITY.sub(_unescape, line)
    if "\\" in line:
        line = _ESCAPED_MARKDOWN.sub(_remove_backslash, line)
    if "#" in line[:200]:
        line = _MARKED_NUMBER.sub(r"\1", line, count=1)
    if "**" in line and line.lstrip(" >|[").startswith("**"):
        line = _BOLD.sub("", line)
    return line


def _unescape(entity: re.Match[str]) -> str:
    return html.unescape(entity[0]).replace("\xa0", " ")


def _remove_backslash(escaped: re.Match[str]) -> str:
    # gdb never escapes these characters itself, and prints a backslash as two.
    return escaped[2] or escaped[0]


def _split(separator: re.Pattern[str], line: str) -> list[str]:
    """Split `line` at each separator that is not inside a string."""
    if not separator.search(line):
        return [line]
    strings = [(match.start(), match.end()) for match in _STRING.finditer(line)]
    pieces, start, current = [], 0, 0
    for match in separator.finditer(line):
        while current < len(strings) and strings[current][1] <= match.start():
            current += 1
        if current < len(strings) and strings[current][0] < match.start():
            continue
        pieces.append(line[start : match.start()])
        start = match.end()
    pieces.append(line[start:])
    return pieces
