"""Cores as collectors and helpers store them: compressed in each format, and in the problem reports of apport."""

import base64
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping

import lz4.frame
import zstandard

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
    "gz": gzip.compress,
}
"""The compressor for each suffix."""

_LINE = 1 << 20  # bytes that apport compresses into one line
FIELDS = {
    "ProblemType": "Crash",
    "Architecture": "amd64",
    "Date": "Sun Nov 22 12:00:00 2026",
    "DistroRelease": "Ubuntu 24.04",
    "ExecutablePath": "/usr/sbin/asterisk",
    "ProcCmdline": "/usr/sbin/asterisk -g -f -p -U asterisk",
    "ProcCwd": "/var/lib/asterisk",
    "ProcMaps": "55d0-55d1 r-xp 00000000 fe:00 1 /usr/sbin/asterisk\n7f00-7f01 rw-p 00000000 00:00 0",
    "Signal": "11",
    "Uname": "Linux 6.8.0-48-generic x86_64",
}
"""The first fields of an apport report. One of them has several lines."""


def report(core: bytes, fields: Mapping[str, str] = FIELDS) -> bytes:
    """Return a problem report as apport's `problem_report.py` writes it: the core is a gzip stream in base64 lines."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [b"\037\213\010\010\0\0\0\0\002\377CoreDump\0"]
    parts += [compressor.compress(core[start : start + _LINE]) for start in range(0, len(core), _LINE)]
    parts += [
        compressor.flush() + zlib.crc32(core).to_bytes(4, "little") + (len(core) % (1 << 32)).to_bytes(4, "little")
    ]
    lines = [f"{key}: {value}".replace("\n", "\n ") for key, value in fields.items()]
    encoded = [f" {base64.b64encode(part).decode()}" for part in parts if part]
    return "\n".join([*lines, "CoreDump: base64", *encoded, ""]).encode(errors="surrogateescape")
