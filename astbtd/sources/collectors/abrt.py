"""ABRT: keeps a directory for each problem, with the core and one small file for each element of metadata.

Source: ABRT's src/hooks/abrt-hook-ccpp.c and libreport's dump_dir.c. A directory is created as `NAME.new` and renamed
when it is complete.
"""

import os
import re
from dataclasses import dataclass

from astbtd.lib.files import open_regular
from astbtd.sources.collectors.collector import (
    MAX_VALUE_LENGTH,
    Collector,
    CollectorMetadata,
    parse_number,
    parse_text,
    parse_timestamp,
)

_CORE = re.compile(r"coredump(?:\.(?:zst|xz|lz4|gz))?")
_INCOMPLETE_SUFFIX = ".new"


@dataclass(frozen=True)
class Abrt(Collector):
    """ABRT as a `Collector`."""

    name = "abrt"
    helpers = frozenset(("abrt-hook-ccpp",))
    directories = ("/var/spool/abrt",)

    def core_files(self, directory: str, entry: str) -> list[str]:
        """Return the core in the directory of a problem."""
        if entry.endswith(_INCOMPLETE_SUFFIX) or entry.startswith("."):
            return []
        try:
            names = os.listdir(os.path.join(directory, entry))
        except OSError:
            return []
        return [f"{entry}/{name}" for name in sorted(names) if _CORE.fullmatch(name)]

    def read_metadata(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:  # noqa: ARG002
        """Return the metadata in the files beside the core."""
        problem = os.path.join(directory, os.path.dirname(name))
        seconds = parse_number(_read_element(problem, "time"), "its element time")
        root = parse_text(_read_element(problem, "rootdir"), "its element rootdir")
        return CollectorMetadata(
            crashed_at=None if seconds is None else parse_timestamp(seconds, "its element time"),
            command_line=parse_text(_read_element(problem, "cmdline"), "its element cmdline"),
            cwd=parse_text(_read_element(problem, "pwd"), "its element pwd"),
            contained=True if root not in (None, "/") else None,
        )


def _read_element(problem: str, name: str) -> bytes | None:
    """Return the content of an element without the final newline; None if it is missing or not a regular file."""
    try:
        descriptor = open_regular(os.path.join(problem, name), follow=False)
    except OSError:
        return None
    try:
        return os.pread(descriptor, MAX_VALUE_LENGTH + 1, 0).removesuffix(b"\n")
    finally:
        os.close(descriptor)


COLLECTOR = Abrt()
