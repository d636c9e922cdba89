"""Packs the texts of crashes and captures for an issue tracker. A bundle never contains a core."""

import gzip
import io
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from astbtd.lib.serialization import json_text, to_plain
from astbtd.model.crash import LOG_FILE, RECORD_FILE, REPORT_FILE, Crash, Section
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE, Deadlock
from astbtd.store.captures import RECORD_FILE as CAPTURE_RECORD_FILE
from astbtd.store.redaction.redactor import Redactor

_TEXTS = (REPORT_FILE, LOG_FILE, *map(str, Section), BACKTRACE_FILE, FULL_FILE, LOCKS_FILE)
_LATER_SAMPLE = re.compile(r"-\d+(?=\.txt$)")
_MODE = 0o644


@dataclass(frozen=True)
class BundleItem:
    """A crash or a capture, and the directory with its files."""

    record: Crash | Deadlock
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
    items: Sequence[BundleItem], target: BinaryIO, redactor: Redactor | None, progress: Callable[[int], None]
) -> None:
    """Write a tar.gz with a directory for each item: its texts and its record, redacted if there is a redactor.

    The same items give the same bytes. `progress` is called with the number of bytes read. Raise OSError.
    """
    done = 0
    with (
        gzip.GzipFile(fileobj=target, mode="wb", filename="", mtime=0) as compressed,
        tarfile.TarFile(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for item in items:
            for path in item.texts():
                content = path.read_bytes()
                _add(archive, item, path.name, _redact(content, path.name, redactor))
                done += len(content)
                progress(done)
            _add(archive, item, item.record_file, _record(item.record, redactor))


def _redact(content: bytes, name: str, redactor: Redactor | None) -> bytes:
    """Return the content of a file, redacted if there is a redactor; a log, which says who called whom, in any case."""
    if name == LOG_FILE:
        redact = (redactor or Redactor()).log
    elif redactor:
        redact = redactor.text
    else:
        return content
    return redact(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _record(record: Crash | Deadlock, redactor: Redactor | None) -> bytes:
    document: Any = to_plain(record)
    document = redactor.document(document) if redactor else document
    return (json_text(document, indent=2) + "\n").encode(errors="replace")


def _add(archive: tarfile.TarFile, item: BundleItem, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(f"{item.record.id}/{name}")
    member.size, member.mode, member.mtime = len(content), _MODE, int(item.time.timestamp())
    archive.addfile(member, io.BytesIO(content))
