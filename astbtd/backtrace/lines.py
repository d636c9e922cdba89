"""Splits text into lines, and strips what mail, issue trackers, pagers and logs add around a line of a backtrace."""

import re
from collections.abc import Iterable, Iterator

MAX_LINE_LENGTH = 1 << 14  # characters; the rest of a longer line is dropped
LOCAL_VARIABLE_INDENT = "        "  # what gdb prints before a local variable

# The prefix of a log message: Asterisk's (main/logger.c), syslog's and the journal's (short and short-iso).
_LOG_PREFIX = re.compile(
    r"\[[^\]\n]{4,40}\] +(?:VERBOSE|DEBUG|NOTICE|WARNING|ERROR|SECURITY|DTMF|FAX)\[\d+\](?:\[C-[0-9a-f]+\])?:? *"
    r"(?:[\w./-]+\.(?:c|cc|cpp|h)(?::\d+)?(?: \w+)?: ?|: )?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]+ [\w.@/-]+(?:\[\d+\])?: "
    r"|\d{4}-\d\d-\d\dT[\d:.,]{8,15}(?:Z|[+-]\d\d:?\d\d)? [\w.-]+ [\w.@/-]+(?:\[\d+\])?: "
)
# Any prefix, if a frame of Asterisk's own backtraces or of Android's follows it. Container logs and the console put
# prefixes of many kinds before these.
_FRAME_PREFIX = re.compile(r"[^#]{1,160}(?=# ?\d{1,4}: (?:\[0x|(?!0x)[\w./-]+(?:\(| ))|#\d{1,4} pc [0-9a-f]{8})")
_FRAME_PREFIX_RANGE = 164  # characters in which the frame's `#` is searched, before the pattern is tried
_QUOTE_MARKS = re.compile(r" {0,3}>(?:[ \t]?>)* ?")
_PAGER_PROMPT = re.compile(r"-{2,3}Type <(?:RET|return)> [^-\n]{1,80}-{2,3}")


def split_lines(text: str | Iterable[str]) -> Iterator[str]:
    r"""Yield the lines of a text, or of a text that comes in pieces, which may be cut anywhere.

    Only "\n" ends a line: strings from the memory of a crashed process may hold any other separator. A line longer
    than MAX_LINE_LENGTH is cut to that length.
    """
    pending = ""  # the beginning of a line that ends in a later piece
    for piece in [text] if isinstance(text, str) else text:
        start = 0
        while (end := piece.find("\n", start)) >= 0:
            line = pending + piece[start : min(end, start + MAX_LINE_LENGTH)]
            yield line[:MAX_LINE_LENGTH].rstrip("\r")
            pending = ""
            start = end + 1
        if len(pending) < MAX_LINE_LENGTH:
            pending += piece[start : start + MAX_LINE_LENGTH]
    if pending:
        yield pending[:MAX_LINE_LENGTH].rstrip("\r")


def strip_decoration(line: str) -> str | None:
    """Return `line` without quote marks, backquotes, pager prompts and log prefixes.

    Return None if the line was nothing but a pager's prompt.
    """
    # Each pattern is tried only if a cheap test passes: this runs for every line of texts of any length.
    if line.startswith(LOCAL_VARIABLE_INDENT):
        return line
    if ">" in line[:4]:
        line = _remove_prefix(line, _QUOTE_MARKS)
    if line.startswith("`") or line.endswith("`"):
        line = line.strip("`")
    if "Type <" in line:
        without_prompt = _PAGER_PROMPT.sub("", line, count=1)
        if not without_prompt:
            return None
        line = without_prompt
    if line[:1] == "[" or line[:1].isalnum():
        line = _remove_prefix(line, _LOG_PREFIX)
    if line[:1] != "#" and "#" in line[:_FRAME_PREFIX_RANGE]:
        line = _remove_prefix(line, _FRAME_PREFIX)
    if "&lt;" in line:
        line = line.replace("&lt;", "<").replace("&gt;", ">")
    return line


def _remove_prefix(line: str, pattern: re.Pattern[str]) -> str:
    prefix = pattern.match(line)
    return line[prefix.end() :] if prefix else line
