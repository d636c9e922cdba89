"""Reads apport's problem reports (`.crash` files): the fields, and the core in the field CoreDump.

Format (apport's problem_report.py): lines `Key: value`. Continuation lines of a value begin with a space. The core is
the value of CoreDump: compressed, then base64-encoded line by line.
"""

import binascii
import re
from collections.abc import Iterator

from astbtd.lib import decompression
from astbtd.lib.decompression import ReadNext, file_reader
from astbtd.lib.sparse import CHUNK

_MAGIC = b"ProblemType:"
_CORE_FIELD = b"\nCoreDump: base64\n"
_HEADER_LIMIT = 16 << 20  # bytes before the core
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9_.-]{0,63}):[ \t]*(.*)")


class MalformedReport(ValueError):
    """The report is not in apport's format."""


def is_report(start: bytes) -> bool:
    """Return True if a file with these first bytes is a problem report."""
    return start.startswith(_MAGIC)


def has_core(descriptor: int) -> bool:
    """Return True if the report contains a core. Reports about scripts and the kernel contain none."""
    try:
        return _read_header(descriptor) is not None
    except MalformedReport:
        return True  # the error is reported when the core is read


def fields(descriptor: int) -> dict[str, bytes]:
    """Return the fields before the core. Raise MalformedReport if they are invalid."""
    found: dict[str, list[bytes]] = {}
    key = ""
    header = _read_header(descriptor) or b""
    for line in header.split(b"\n"):
        if line.startswith(b" ") and key:
            found[key].append(line[1:])
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            raise MalformedReport("it contains a line that is not a field")
        key = match[1].decode()
        if key in found:
            raise MalformedReport(f"duplicate field {key}")
        found[key] = [match[2]]
    return {key: _join_lines(lines) for key, lines in found.items()}


def _join_lines(lines: list[bytes]) -> bytes:
    """Return a value of several lines. The first one is empty if the value begins on the next."""
    return b"\n".join(lines if lines[0] else lines[1:])


def core(descriptor: int) -> Iterator[bytes]:
    """Yield the core in the report open at `descriptor`, block by block. Raise MalformedReport or DamagedStream."""
    header = _read_header(descriptor) or b""
    encoded = file_reader(descriptor, len(header) + len(_CORE_FIELD))
    blocks = _decode_base64(encoded)
    first = next(blocks, b"")
    compression = decompression.detect(first)
    if compression is None:
        raise MalformedReport("its field CoreDump has an unknown compression")
    yield from decompression.decompress(compression, _block_reader(first, blocks))


def _read_header(descriptor: int) -> bytes | None:
    """Return everything before the core; None if there is no core."""
    read = file_reader(descriptor)
    start = b""
    while _CORE_FIELD not in start:
        if len(start) > _HEADER_LIMIT:
            raise MalformedReport(f"its fields are longer than {_HEADER_LIMIT >> 20} MiB")
        block = read(CHUNK)
        if not block:
            return None
        start += block
    return start.partition(_CORE_FIELD)[0]


def _decode_base64(encoded: ReadNext) -> Iterator[bytes]:
    """Decode the lines of the value. The first line that does not begin with a space ends it.

    Base64 encodes 3 bytes in a group of 4 characters. Blocks of the file can split a group; `group` carries the rest.
    """
    group = b""
    at_line_start = True
    while text := encoded(CHUNK):
        for number, piece in enumerate(text.split(b"\n")):
            if number > 0:
                _check_complete(group)  # no group spans two lines
                at_line_start = True
            if not piece:
                continue
            if at_line_start:
                if not piece.startswith(b" "):
                    return
                piece = piece[1:]
                at_line_start = False
            characters = group + piece
            complete = len(characters) // 4 * 4
            group = characters[complete:]
            yield _decode_groups(characters[:complete])


def _check_complete(group: bytes) -> None:
    if group:
        raise MalformedReport("its field CoreDump is not valid base64")


def _decode_groups(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise MalformedReport("its field CoreDump is not valid base64") from error


def _block_reader(rest: bytes, blocks: Iterator[bytes]) -> ReadNext:
    """Return a read function over `rest` and the blocks that follow it."""

    def read(size: int) -> bytes:
        nonlocal rest
        while not rest:
            block = next(blocks, None)
            if block is None:
                break
            rest = block
        data, rest = rest[:size], rest[size:]
        return data

    return read
