"""Reads and writes a record, be it of a crash or of a capture: one JSON document in a file."""

import json
import os
from pathlib import Path
from typing import TypeVar

from astbtd.errors import AstbtdError
from astbtd.lib.serialization import Decoder, plain

T = TypeVar("T")


class Damaged(AstbtdError):
    """A record is missing or cannot be understood."""


def read(path: str | Path, kind: type[T], largest: int) -> T:
    """The record in the file `path`, of which no more than `largest` bytes are read. Raises Damaged."""
    try:
        with open(path, "rb", buffering=0) as file:  # a buffer costs as much as decoding
            document = json.loads(file.read(min(os.fstat(file.fileno()).st_size, largest)))
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{path}: {error}") from error
    decoder = Decoder(strict=False)
    record = decoder.dataclass(kind, document, "")
    if record is None:
        raise Damaged(f"{path}: {'; '.join(decoder.problems)}")
    return record


def text(record: object) -> bytes:
    """A record as it stands in its file."""
    return (json.dumps(plain(record), indent=2, ensure_ascii=False) + "\n").encode(errors="replace")
