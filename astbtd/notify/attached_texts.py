"""The redacted texts of a crash that go with its notification, where the settings ask for them (`attach: redacted`)."""

import os
from collections.abc import Iterator
from pathlib import Path

from astbtd.model.crash import LOG_FILE, REPORT_FILE, Section
from astbtd.store.redaction.redactor import Redactor

_NAMES = (REPORT_FILE, Section.THREAD1, Section.BRIEF, LOG_FILE, Section.INFO, Section.LOCKS)
"""The most useful ones first. full.txt and backtrace.txt are left out: their size has hardly a limit."""

_LARGEST_TEXT = 128 << 10  # bytes of a file
_LARGEST_SUM = 384 << 10  # bytes; as JSON it can be six times as much, and payload.LARGEST is the limit


def read_attached_texts(directory: Path, host: str) -> dict[str, str]:
    """Return the texts in the directory of a crash, by file name, redacted in the same way as for a bundle.

    Long ones are cut after a whole line. What is missing or cannot be read is left out.
    """
    redactor = Redactor([host])
    texts: dict[str, str] = {}
    left = _LARGEST_SUM
    for name, text in _read_texts(directory):
        redacted = redactor.log(text) if name == LOG_FILE else redactor.text(text)
        shortened = _whole_lines(redacted, left)
        left -= len(shortened.encode(errors="replace"))
        if shortened:
            texts[name] = shortened
    return texts


def _read_texts(directory: Path) -> Iterator[tuple[str, str]]:
    for name in _NAMES:
        try:
            with (directory / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(_LARGEST_TEXT).decode(errors="replace")
        except OSError:
            continue
        yield str(name), content if size <= _LARGEST_TEXT else _without_last_line(content)


def _whole_lines(text: str, size: int) -> str:
    """Return as many whole lines as have at most this size in bytes."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= size:
        return text
    return _without_last_line(encoded[: max(0, size)].decode(errors="replace"))


def _without_last_line(text: str) -> str:
    """Return the text up to the last newline: a value that is cut would not be recognized as a secret."""
    return text[: text.rfind("\n") + 1]
