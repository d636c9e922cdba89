"""The two output streams of the command. All text that it prints is escaped here, whoever prints it.

Names of files, error messages, usage errors and stored texts may come from a crashed process or another user. On a
terminal, control characters in them could rewrite what is shown. Messages on standard error are always escaped,
because they are often read on a terminal later. Standard output is escaped only on a terminal: scripts and pipes get
the text as it is.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from astbtd.lib.escaping import printable


class EscapedStream:
    """A text stream that escapes what is written to it; everything else is passed to the stream `unescaped`."""

    def __init__(self, stream: TextIO, always: bool) -> None:
        self.unescaped = stream
        self._always = always

    def write(self, text: str) -> int:
        """Write text, with control characters escaped."""
        must_escape = self._always or self.unescaped.isatty()
        return self.unescaped.write(printable(text) if must_escape else text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unescaped, name)


@contextmanager
def escaped_streams() -> Iterator[None]:
    """Escape what is printed while the block runs."""
    _replace_closed_streams()
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, EscapedStream(sys.stdout, always=False))
    sys.stderr = cast(TextIO, EscapedStream(sys.stderr, always=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _replace_closed_streams() -> None:
    """Open /dev/null in the place of each standard stream with which the program was started closed.

    Otherwise the next file that is opened would get its number, and Python has no stream object for it. Standard input
    and output are opened for the opposite direction, so that their use fails with EBADF (as gnulib's stdopen does).
    """
    for number, name, flags in ((0, "stdin", os.O_WRONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, flags)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        setattr(sys, name, _text_stream(number, "r" if name == "stdin" else "w"))


def _text_stream(number: int, mode: str) -> TextIO:
    raw = io.FileIO(number, mode, closefd=False)
    buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="surrogateescape")


def write_controls(stream: TextIO, text: str) -> None:
    """Write text with our own control sequences. The caller must escape what is not its own in it."""
    cast(TextIO, getattr(stream, "unescaped", stream)).write(text)
