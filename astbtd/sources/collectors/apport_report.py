"""Reads apport's problem reports (`.crash` files): the fields, and the core in the field CoreDump.

Format (apport's problem_report.py): lines `Key: value`. Continuation lines of a value begin with a space. The core is
the value of CoreDump: compressed, then base64-encoded line by line.
"""

import binascii
import re
from collections.abc import Iterator

from astbtd.lib import decompression
from astbtd.lib.decompression import ReadNext, file_reader
from astbtd.lib.read_budget import ReadBudget
from astbtd.lib.sparse import CHUNK

_MAGIC = b"ProblemType:"
_CORE_FIELD = b"\nCoreDump: base64\n"
_HEADER_LIMIT = 16 << 20  # bytes before the core
_MAX_FIELDS = 10_000
_FIRST_LINE = re.compile(rb"^(?! ).*$", re.MULTILINE)  # a line that does not continue a value
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9_.-]{0,63}):[ \t]*(.*)")


class MalformedReport(ValueError):
    """The report is not in apport's format."""


def is_report(start: bytes) -> bool:
    """Return True if a file with these first bytes is a problem report."""
    return start.startswith(_MAGIC)


def has_core(descriptor: int, budget: ReadBudget | None = None) -> bool:
    """Return True if the report contains a core. Reports about scripts and the kernel contain none.

    `budget` limits what is read, here and in the other functions. Raise BudgetExceeded.
    """
    try:
        return _read_header(descriptor, budget) is not None
    except MalformedReport:
        return True  # the error is reported when the core is read


def fields(descriptor: int) -> dict[str, bytes]:
    """Return the fields before the core. Raise MalformedReport if they are invalid."""
    header = _read_header(descriptor) or b""
    found: dict[str, bytes] = {}
    lines = _FIRST_LINE.finditer(header)
    line = next(lines, None)
    while line is not None:
        following = next(lines, None)
        match = _FIELD.fullmatch(line[0])
        if match is None:
            raise MalformedReport("it contains a line that is not a field")
        key = match[1].decode()
        if key in found:
            raise MalformedReport(f"duplicate field {key}")
        if len(found) == _MAX_FIELDS:
            raise MalformedReport(f"it has more than {_MAX_FIELDS} fields")
        found[key] = _value(match[2], header[line.end() : following.start() if following else len(header)])
        line = following
    return found


def _value(first_line: bytes, continuation: bytes) -> bytes:
    """Return a value of several lines. The first one is empty if the value begins on the next."""
    rest = continuation.removesuffix(b"\n").replace(b"\n ", b"\n")
    return first_line + rest if first_line else rest.removeprefix(b"\n")


def core(descriptor: int, budget: ReadBudget | None = None) -> Iterator[bytes]:
    """Yield the core in the report open at `descriptor`, block by block.

    Raise MalformedReport, DamagedStream or BudgetExceeded.
    """
    header = _read_header(descriptor, budget) or b""
    encoded = _reader(descriptor, budget, len(header) + len(_CORE_FIELD))
    blocks = _decode_base64(encoded)
    first = next(blocks, b"")
    compression = decompression.detect(first)
    if compression is None:
        raise MalformedReport("its field CoreDump has an unknown compression")
    yield from decompression.decompress(compression, _block_reader(first, blocks))


def _reader(descriptor: int, budget: ReadBudget | None, position: int = 0) -> ReadNext:
    read = file_reader(descriptor, position)
    return budget.sequential(read) if budget else read


def _read_header(descriptor: int, budget: ReadBudget | None = None) -> bytes | None:
    """Return everything before the core; None if there is no core."""
    read = _reader(descriptor, budget)
    start = bytearray()
    searched = 0  # no match begins before this position
    while (position := start.find(_CORE_FIELD, searched)) < 0:
        if len(start) > _HEADER_LIMIT:
            raise MalformedReport(f"its fields are longer than {_HEADER_LIMIT >> 20} MiB")
        block = read(CHUNK)
        if not block:
            return None
        searched = max(0, len(start) - len(_CORE_FIELD))
        start += block
    return bytes(start[:position])


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
