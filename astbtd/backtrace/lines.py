"""Cuts a text into lines and takes off what mail, trackers, pagers and logs put around them."""

import re
from collections.abc import Iterable, Iterator

LONGEST_LINE = 1 << 14  # characters of a line that are looked at

_LOCAL_VARIABLE = "        "  # what gdb puts before one
# A log's own words before the message: Asterisk's (main/logger.c), syslog's and the journal's (short and short-iso).
_LOGGED = re.compile(
    r"\[[^\]\n]{4,40}\] +(?:VERBOSE|DEBUG|NOTICE|WARNING|ERROR|SECURITY|DTMF|FAX)\[\d+\](?:\[C-[0-9a-f]+\])?:? *"
    r"(?:[\w./-]+\.(?:c|cc|cpp|h)(?::\d+)?(?: \w+)?: ?|: )?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]+ [\w.@/-]+(?:\[\d+\])?: "
    r"|\d{4}-\d\d-\d\dT[\d:.,]{8,15}(?:Z|[+-]\d\d:?\d\d)? [\w.-]+ [\w.@/-]+(?:\[\d+\])?: "
)
# Asterisk's own backtraces in the log of a container, or on the console, each of which has its own words before them.
_TRACED = re.compile(r"[^#]{1,160}(?=# ?\d{1,4}: (?:\[0x|(?!0x)[\w./-]+(?:\(| ))|#\d{1,4} pc [0-9a-f]{8})")
_QUOTED = re.compile(r" {0,3}>(?:[ \t]?>)* ?")
_PAGER = re.compile(r"-{2,3}Type <(?:RET|return)> [^-\n]{1,80}-{2,3}")


def lines(text: str | Iterable[str]) -> Iterator[str]:
    """The lines of a text, or of the pieces that it comes in, wherever these are cut.

    Only a newline ends a line: what stands in a crashed process's memory may hold any other separator. Of a line longer
    than LONGEST_LINE the beginning comes out.
    """
    begun = ""
    for piece in [text] if isinstance(text, str) else text:
        start = 0
        while (end := piece.find("\n", start)) >= 0:
            yield (begun + piece[start : min(end, start + LONGEST_LINE)])[:LONGEST_LINE].rstrip("\r")
            begun, start = "", end + 1
        if len(begun) < LONGEST_LINE:
            begun += piece[start : start + LONGEST_LINE]
    if begun:
        yield begun[:LONGEST_LINE].rstrip("\r")


def bare(line: str) -> str | None:
    """`line` without quote marks, backquotes, and a log's prefix; None where only a pager spoke."""
    if line.startswith(_LOCAL_VARIABLE):
        return line
    if ">" in line[:4] and (quoted := _QUOTED.match(line)):
        line = line[quoted.end() :]
    if "`" in (line[:1], line[-1:]):
        line = line.strip("`")
    if "Type <" in line and (pager := _PAGER.search(line)):
        line = line[: pager.start()] + line[pager.end() :]
        if not line:
            return None
    if line[:1] == "[" or line[:1].isalnum():
        logged = _LOGGED.match(line)
        line = line[logged.end() :] if logged else line
    if line[:1] != "#" and "#" in line[:164] and (traced := _TRACED.match(line)):
        line = line[traced.end() :]
    return line.replace("&lt;", "<").replace("&gt;", ">") if "&lt;" in line else line
