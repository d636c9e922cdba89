"""The files that gdb writes its sections to: one descriptor each, opened before gdb starts and checked afterwards."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import files
from astbtd.model.crash import Section

FACTS, STATES = "facts", "states"
"""Files with JSON for the record: facts about Asterisk, states of its threads. They are not kept."""

_JSON_FILES = (FACTS, STATES)
_BLOCK_SIZE = 512  # the unit of st_blocks
_MAX_FACTS_BYTES = 1 << 20
_MAX_STATES_BYTES = 16 << 20  # about 500 bytes per thread
_START_BYTES = 1 << 16
_MAX_FILTERED_BYTES = 8 << 20
_SPACE_NEEDED = 1 << 20  # bytes; the sections of a small core


@dataclass(frozen=True)
class OutputFiles:
    """Descriptors of the open files by file name, the most valuable section first."""

    descriptors: dict[str, int]

    def total_bytes(self) -> int:
        """Return the sum of all file sizes, or of allocated disk space where that is more."""
        found = map(os.fstat, self.descriptors.values())
        return sum(max(status.st_size, status.st_blocks * _BLOCK_SIZE) for status in found)

    def check_space(self) -> None:
        """Raise OSError with ENOSPC or EDQUOT if the disk has hardly any space left."""
        descriptor = self.descriptors[STATES]
        size = os.fstat(descriptor).st_size
        try:
            os.posix_fallocate(descriptor, size, _SPACE_NEEDED)
        finally:
            os.ftruncate(descriptor, size)

    def truncate(self, limit: int) -> None:
        """Truncate the files to `limit` bytes in total, the least valuable first.

        gdb can write more than its limit before it is killed.
        """
        for descriptor in self.descriptors.values():
            size = min(os.fstat(descriptor).st_size, limit)
            os.ftruncate(descriptor, size)
            limit -= size

    def section_sizes(self) -> dict[str, int]:
        """Return the size in bytes of each section that is not empty."""
        sizes = {name: os.fstat(descriptor).st_size for name, descriptor in self.descriptors.items()}
        return {name: size for name, size in sizes.items() if size and name not in _JSON_FILES}

    def read_facts(self) -> bytes:
        """Return the facts that gdb wrote, up to a limit."""
        return os.pread(self.descriptors[FACTS], _MAX_FACTS_BYTES, 0)

    def read_states(self) -> bytes:
        """Return the thread states that gdb wrote, up to a limit."""
        return os.pread(self.descriptors[STATES], _MAX_STATES_BYTES, 0)

    def read_start(self, section: Section) -> bytes:
        """Return the first 64 KiB of a section."""
        return os.pread(self.descriptors[section], _START_BYTES, 0)

    def remove_lines(self, sections: Iterable[Section], pattern: re.Pattern[bytes]) -> None:
        """Remove the lines that match from the first 8 MiB of each section. `pattern` includes the newline."""
        for section in sections:
            self._remove_lines(self.descriptors[section], pattern)

    @staticmethod
    def _remove_lines(descriptor: int, pattern: re.Pattern[bytes]) -> None:
        start = os.pread(descriptor, _MAX_FILTERED_BYTES, 0)
        kept = pattern.sub(b"", start)
        if len(kept) == len(start):
            return
        size = os.fstat(descriptor).st_size
        rest = os.pread(descriptor, max(0, size - len(start)), len(start))
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        files.write_all(descriptor, kept + rest)

    def append(self, section: Section, text: str) -> None:
        """Append our own text to a section."""
        descriptor = self.descriptors[section]
        os.lseek(descriptor, 0, os.SEEK_END)
        files.write_all(descriptor, text.encode())

    def clear(self) -> None:
        """Empty all files before another run."""
        for descriptor in self.descriptors.values():
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)


@contextmanager
def create_output_files(directory: Path, group: int) -> Iterator[OutputFiles]:
    """Create all files in `directory`, readable by `group`; at the end remove empty sections and the JSON files."""
    descriptors: dict[str, int] = {}
    with ExitStack() as closing:
        for name in (*_JSON_FILES, *Section):
            descriptors[str(name)] = files.create(directory / name, group=group)
            closing.callback(os.close, descriptors[str(name)])
        try:
            yield OutputFiles(descriptors)
        finally:
            for name, descriptor in descriptors.items():
                if name in _JSON_FILES or os.fstat(descriptor).st_size == 0:
                    (directory / name).unlink()
