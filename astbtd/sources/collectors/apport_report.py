"""Reads the problem reports of apport, `.crash` files: their fields, and the core in them.

The format (apport's problem_report.py): `Key: value` lines, further lines of a value begin with a space; the core is
the value of CoreDump, compressed, then base64, each line of which is encoded by itself.
"""

import binascii
import re
from collections.abc import Iterator

from astbtd.lib.sparse import CHUNK
from astbtd.sources import decompression
from astbtd.sources.decompression import Source, file_source

_BEGINNING = b"ProblemType:"
_CORE = b"\nCoreDump: base64\n"
_LONGEST_HEADER = 16 << 20  # bytes before the core
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9_.-]{0,63}):[ \t]*(.*)")


class Malformed(ValueError):
    """The report breaks the rules of its format."""


def begins(start: bytes) -> bool:
    """Whether a file with these first bytes is a report."""
    return start.startswith(_BEGINNING)


def has_core(descriptor: int) -> bool:
    """Whether the report is of a program that left a core; those of scripts and of the kernel are not."""
    try:
        return _header(descriptor) is not None
    except Malformed:
        return True


def fields(descriptor: int) -> dict[str, bytes]:
    """The fields before the core. Raises Malformed."""
    found: dict[str, bytes] = {}
    key = ""
    for line in (_header(descriptor) or b"").split(b"\n"):
        if line.startswith(b" ") and key:
            found[key] += b"\n" + line[1:] if found[key] else line[1:]
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Malformed("one of its lines is no field")
        key = match[1].decode()
        if key in found:
            raise Malformed(f"it has two fields {key}")
        found[key] = match[2]
    return found


def core(descriptor: int) -> Iterator[bytes]:
    """The core in the report open at `descriptor`, block by block. Raises Malformed, Damaged."""
    encoded = file_source(descriptor, len(_header(descriptor) or b"") + len(_CORE))
    blocks = _decoded(encoded)
    first = next(blocks, b"")
    kind = decompression.recognised(first)
    if kind is None:
        raise Malformed("its field CoreDump is not compressed in a known way")
    yield from decompression.decompressed(kind, _joined(first, blocks))


def _header(descriptor: int) -> bytes | None:
    """All before the core, None if there is no core."""
    source, start = file_source(descriptor), b""
    while _CORE not in start:
        if len(start) > _LONGEST_HEADER:
            raise Malformed(f"its fields are longer than {_LONGEST_HEADER >> 20} MiB")
        if not (block := source(CHUNK)):
            return None
        start += block
    return start.partition(_CORE)[0]


def _decoded(encoded: Source) -> Iterator[bytes]:
    """What the base64 lines stand for; the first line that does not begin with a space is not theirs any more."""
    group, new_line = b"", True
    while text := encoded(CHUNK):
        for number, piece in enumerate(text.split(b"\n")):
            if number:
                _expect_whole(group)
                new_line = True
            if not piece:
                continue
            if new_line and not piece.startswith(b" "):
                return
            piece = group + piece[new_line:]
            whole = len(piece) // 4 * 4
            new_line, group = False, piece[whole:]
            yield _bytes(piece[:whole])


def _expect_whole(group: bytes) -> None:
    if group:
        raise Malformed("its field CoreDump is no base64")


def _bytes(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise Malformed("its field CoreDump is no base64") from error


def _joined(rest: bytes, blocks: Iterator[bytes]) -> Source:
    """Blocks as a source, `rest` first."""

    def read(size: int) -> bytes:
        nonlocal rest
        while not rest and (block := next(blocks, None)) is not None:
            rest = block
        data, rest = rest[:size], rest[size:]
        return data

    return read
