"""Makes text safe to show that may come from a crashed process: what could steer a terminal becomes visible.

Crash handlers have had terminal escapes and reversed text smuggled into their reports by the memory they print.
"""

import re

_SUSPECT = re.compile(r"[^ -~\n\t]")


def printable(text: str) -> str:
    r"""`text` with what Unicode does not call printable written as `\x1b` or `\u202e`; newlines and tabs stay."""
    return _SUSPECT.sub(_escaped, text)


def printable_line(text: str) -> str:
    r"""`text` as `printable` gives it, on one line: newlines and tabs are written as `\n` and `\t`."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def _escaped(match: re.Match[str]) -> str:
    if match[0].isprintable():
        return match[0]
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as Python's surrogateescape keeps it
        code -= 0xDC00
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
