"""Escape text that may come from a crashed process, so that it cannot control a terminal.

Crash handlers have had terminal escape sequences and reversed text smuggled into their reports by memory they print.
This is a module of its own because it is packed into the archive that gdb's Python imports: it must stay small and
import nothing of astbtd.
"""

import re

_SUSPICIOUS = re.compile(r"[^ -~\n\t]")


def printable(text: str) -> str:
    r"""Return `text` with unprintable characters escaped, such as `\x1b` or `\u202e`. Newlines and tabs stay."""
    return _SUSPICIOUS.sub(_escape, text)


def printable_line(text: str) -> str:
    r"""Return `text` on one line: escaped as by `printable`, and newlines and tabs written as `\n` and `\t`."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def _escape(match: re.Match[str]) -> str:
    if match[0].isprintable():
        return match[0]
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not valid UTF-8, as Python's surrogateescape decodes it
        code -= 0xDC00
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
