"""The cores that ABRT keeps: a directory for each problem, in it the core and a small file for each thing known.

Source: ABRT's src/hooks/abrt-hook-ccpp.c and libreport's dump_dir.c; a directory is made as `NAME.new`, then renamed.
"""

import os
import re
from dataclasses import dataclass

from astbtd.lib.safe_open import open_regular
from astbtd.model.crash import Source
from astbtd.sources.collectors.collector import LONGEST_VALUE, CollectorMetadata, moment, number, text
from astbtd.sources.core_pattern import CorePattern

_CORE = re.compile(r"coredump(?:\.(?:zst|xz|lz4|gz))?")
_IN_PROGRESS = ".new"


@dataclass(frozen=True)
class Abrt:
    """ABRT as a `Collector`."""

    source: Source = Source.ABRT

    def is_fed_by(self, pattern: CorePattern) -> bool:
        """By the program it is called through."""
        return pattern.helper == "abrt-hook-ccpp"

    def cores(self, directory: str, entry: str) -> list[str]:
        """The core in the directory of a problem."""
        if entry.endswith(_IN_PROGRESS) or entry.startswith("."):
            return []
        try:
            names = os.listdir(os.path.join(directory, entry))
        except OSError:
            return []
        return [f"{entry}/{name}" for name in sorted(names) if _CORE.fullmatch(name)]

    def testimony(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:  # noqa: ARG002 - all is beside it
        """From the files beside the core."""
        problem = os.path.join(directory, os.path.dirname(name))
        seconds = number(_element(problem, "time"), "its element time")
        root = text(_element(problem, "rootdir"), "its element rootdir")
        return CollectorMetadata(
            crashed_at=None if seconds is None else moment(seconds, "its element time"),
            command_line=text(_element(problem, "cmdline"), "its element cmdline"),
            cwd=text(_element(problem, "pwd"), "its element pwd"),
            contained=True if root not in (None, "/") else None,
        )


def _element(problem: str, name: str) -> bytes | None:
    """What stands in one of the small files, without the end of its line; None where it is not there, or is none."""
    try:
        descriptor = open_regular(os.path.join(problem, name), follow=False)
    except OSError:
        return None
    try:
        return os.pread(descriptor, LONGEST_VALUE + 1, 0).removesuffix(b"\n")
    finally:
        os.close(descriptor)
