"""Packs the texts of crashes and captures for an issue tracker. A bundle never contains a core."""

import gzip
import io
import re
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from astbtd.lib.serialization import Decoder, json_text, to_plain
from astbtd.model.crash import LOG_FILE, RECORD_FILE, REPORT_FILE, Crash, Section
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE, Deadlock
from astbtd.store.captures import RECORD_FILE as CAPTURE_RECORD_FILE
from astbtd.store.redaction.redactor import Redactor

_TEXTS = (REPORT_FILE, LOG_FILE, *map(str, Section), BACKTRACE_FILE, FULL_FILE, LOCKS_FILE)
_LATER_SAMPLE = re.compile(r"-\d+(?=\.txt$)")
_MODE = 0o644


Record = Crash | Deadlock


@dataclass(frozen=True)
class PageMaker:
    """Makes the HTML page of an item: its `name`, which texts it needs, by name, and what returns it."""

    name: str
    files: Callable[[Record], Sequence[str]]
    render: Callable[[Record, Mapping[str, str]], str]


@dataclass(frozen=True)
class BundleItem:
    """A crash or a capture, and the directory with its files."""

    record: Record
    directory: Path

    @property
    def time(self) -> datetime:
        """The time of the crash or capture. The files in the bundle have it as modification time."""
        return self.record.crashed_at if isinstance(self.record, Crash) else self.record.captured_at

    @property
    def record_file(self) -> str:
        """The name of the file with the record."""
        return RECORD_FILE if isinstance(self.record, Crash) else CAPTURE_RECORD_FILE

    def texts(self) -> Iterator[Path]:
        """Yield the text files. Only files with known names are included."""
        for path in sorted(self.directory.iterdir()):
            name = _LATER_SAMPLE.sub("", path.name)
            if name in _TEXTS and not path.is_symlink():
                yield path


def write_bundle(
    items: Sequence[BundleItem],
    target: BinaryIO,
    redactor: Redactor | None,
    progress: Callable[[int], None],
    page: PageMaker | None = None,
) -> None:
    """Write a tar.gz with a directory for each item: its texts, its page, its record, redacted if there is a redactor.

    The same items give the same bytes. `progress` is called with the number of bytes read. Raise OSError.
    """
    reported = _TotalProgress(progress)
    with (
        gzip.GzipFile(fileobj=target, mode="wb", filename="", mtime=0) as compressed,
        tarfile.TarFile(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for item in items:
            wanted = page.files(item.record) if page else ()
            texts = _add_texts(archive, item, redactor, reported, wanted)
            record = _redact_record(item.record, redactor) if redactor else item.record
            if page:
                _add(archive, item, page.name, page.render(record, texts).encode())
            _add(archive, item, item.record_file, _to_json(record))


class _TotalProgress:
    """Reports the sum of the numbers that it is called with."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self._total = 0

    def __call__(self, more: int) -> None:
        self._total += more
        self._progress(self._total)


def _add_texts(
    archive: tarfile.TarFile,
    item: BundleItem,
    redactor: Redactor | None,
    progress: Callable[[int], None],
    wanted: Collection[str],
) -> dict[str, str]:
    """Add the texts of an item, and return those that are wanted, by name, as they were added."""
    texts = {}
    for path in item.texts():
        content = path.read_bytes()
        published = _redact(content, path.name, redactor)
        _add(archive, item, path.name, published)
        if path.name in wanted:
            texts[path.name] = published.decode(errors="replace")
        progress(len(content))
    return texts


def _redact(content: bytes, name: str, redactor: Redactor | None) -> bytes:
    """Return the content of a file, redacted if there is a redactor; a log, which says who called whom, in any case."""
    if name == LOG_FILE:
        redact = (redactor or Redactor()).log
    elif redactor:
        redact = redactor.text
    else:
        return content
    return redact(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _redact_record(record: Record, redactor: Redactor) -> Record:
    decoder = Decoder(strict=False)
    redacted: Record | None = decoder.decode(type(record), redactor.document(to_plain(record)), "")
    assert redacted is not None, decoder.problems
    return redacted


def _to_json(record: Record) -> bytes:
    return (json_text(record, indent=2) + "\n").encode(errors="replace")


def _add(archive: tarfile.TarFile, item: BundleItem, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(f"{item.record.id}/{name}")
    member.size, member.mode, member.mtime = len(content), _MODE, int(item.time.timestamp())
    archive.addfile(member, io.BytesIO(content))
