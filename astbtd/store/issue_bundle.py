"""Packs the texts of crashes and captures for an issue tracker; a core is never among them."""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from astbtd.lib.serialization import plain
from astbtd.model.crash import RECORD_FILE, REPORT_FILE, Crash, Section
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE, Deadlock
from astbtd.store.captures import RECORD_FILE as CAPTURE_RECORD_FILE
from astbtd.store.redaction import Redactor

_TEXTS = (REPORT_FILE, *map(str, Section), BACKTRACE_FILE, FULL_FILE, LOCKS_FILE)
_LATER_SAMPLE = re.compile(r"-\d+(?=\.txt$)")
_MODE = 0o644


@dataclass(frozen=True)
class Part:
    """A crash or a capture, and the directory of its files."""

    record: Crash | Deadlock
    directory: Path

    @property
    def moment(self) -> datetime:
        """When it happened, which its files in the bundle bear."""
        return self.record.crashed_at if isinstance(self.record, Crash) else self.record.captured_at

    @property
    def record_file(self) -> str:
        """The name of the record's file."""
        return RECORD_FILE if isinstance(self.record, Crash) else CAPTURE_RECORD_FILE

    def texts(self) -> Iterator[Path]:
        """Its texts, by a list of the names that texts have."""
        for path in sorted(self.directory.iterdir()):
            if _LATER_SAMPLE.sub("", path.name) in _TEXTS and not path.is_symlink():
                yield path


def pack(parts: Sequence[Part], target: BinaryIO, redactor: Redactor | None, progress: Callable[[int], None]) -> None:
    """Writes a tar.gz with a directory for each part, its texts and its record, redacted if there is a redactor.

    The same parts give the same bytes. `progress` hears how many bytes are read. Raises OSError.
    """
    done = 0
    with (
        gzip.GzipFile(fileobj=target, mode="wb", filename="", mtime=0) as compressed,
        tarfile.TarFile(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for part in parts:
            for path in part.texts():
                content = path.read_bytes()
                _add(archive, part, path.name, _redacted(content, redactor) if redactor else content)
                done += len(content)
                progress(done)
            _add(archive, part, part.record_file, _record(part.record, redactor))


def _redacted(content: bytes, redactor: Redactor) -> bytes:
    return redactor.text(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _record(record: Crash | Deadlock, redactor: Redactor | None) -> bytes:
    document: Any = plain(record)
    document = redactor.document(document) if redactor else document
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(errors="replace")


def _add(archive: tarfile.TarFile, part: Part, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(f"{part.record.id}/{name}")
    member.size, member.mode, member.mtime = len(content), _MODE, int(part.moment.timestamp())
    archive.addfile(member, io.BytesIO(content))
