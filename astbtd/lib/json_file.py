"""Reads and writes a dataclass as a file with one JSON document: records, and what is remembered between two runs."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.serialization import Decoder, to_plain

T = TypeVar("T")


class Damaged(AstbtdError):
    """A file is missing, unreadable, or invalid."""


class Missing(Damaged):
    """There is no such file."""


class Unreadable(Damaged):
    """The file may be sound, but could not be read."""


def read(path: str | Path, kind: type[T], largest: int = sys.maxsize) -> T:
    """Read a file as a `kind`. No more than `largest` bytes are read.

    Raise Damaged; Missing if there is no file, Unreadable if the system cannot read it.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # a buffer costs as much as decoding
            size = min(os.fstat(file.fileno()).st_size, largest)
            return decode(file.read(size), kind)
    except FileNotFoundError as error:
        raise Missing(f"{path}: {error}") from error
    except OSError as error:
        raise Unreadable(f"{path}: {error}") from error
    except ValueError as error:
        raise Damaged(f"{path}: {error}") from error


def read_or(path: str | Path, default: T, largest: int = sys.maxsize) -> T:
    """Read a file as the type of `default`, which is returned if the file is missing, unreadable or damaged."""
    with suppress(Damaged):
        return read(path, type(default), largest)
    return default


def decode(content: bytes | str, kind: type[T]) -> T:
    """Return what a JSON document contains. Raise ValueError if it is invalid."""
    try:
        document = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    decoder = Decoder(strict=False)
    decoded = decoder.decode(kind, document, "")
    if decoded is None:
        raise ValueError("; ".join(decoder.problems))
    return decoded


def encode(value: object) -> bytes:
    """Return the JSON document with this dataclass."""
    return json.dumps(to_plain(value)).encode()


def replace(path: Path, value: object, mode: int = files.PRIVATE_FILE_MODE) -> None:
    """Replace a file, durably and in one step, by this dataclass. Raise OSError."""
    files.replace(path, encode(value), mode)
