"""The files that gdb's sections go to: one descriptor each, opened before gdb starts, judged when it has ended."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import files
from astbtd.model.crash import Section

FACTS, STATES = "facts", "states"
"""The sections that hold JSON, for the record and not for people: facts of Asterisk, states of its threads."""

_DATA = (FACTS, STATES)
_BLOCK = 512  # the unit of st_blocks
_LARGEST_FACTS = 1 << 20
_LARGEST_STATES = 16 << 20  # about 500 bytes a thread


@dataclass(frozen=True)
class Sections:
    """Open sections by file name."""

    descriptors: dict[str, int]

    def total(self) -> int:
        """The bytes written so far, or the room taken for them if that is more, over all sections."""
        found = map(os.fstat, self.descriptors.values())
        return sum(max(status.st_size, status.st_blocks * _BLOCK) for status in found)

    def cut(self, limit: int) -> None:
        """Cuts what gdb could write beyond `limit` bytes in all before it was ended; the worthiest sections stay."""
        for descriptor in self.descriptors.values():
            size = min(os.fstat(descriptor).st_size, limit)
            os.ftruncate(descriptor, size)
            limit -= size

    def sizes(self) -> dict[str, int]:
        """The size of every section that has anything in it, those for the record left out."""
        sizes = {name: os.fstat(descriptor).st_size for name, descriptor in self.descriptors.items()}
        return {name: size for name, size in sizes.items() if size and name not in _DATA}

    def facts(self) -> bytes:
        """What gdb wrote as facts, capped."""
        return os.pread(self.descriptors[FACTS], _LARGEST_FACTS, 0)

    def states(self) -> bytes:
        """What gdb wrote of threads, capped."""
        return os.pread(self.descriptors[STATES], _LARGEST_STATES, 0)

    def start_of(self, section: Section) -> bytes:
        """The first 64 KiB of a section."""
        return os.pread(self.descriptors[section], 1 << 16, 0)

    def append(self, section: Section, text: str) -> None:
        """Adds text of our own to what gdb wrote."""
        descriptor = self.descriptors[section]
        os.lseek(descriptor, 0, os.SEEK_END)
        files.write_all(descriptor, text.encode())

    def clear(self) -> None:
        """Empties every section for another run."""
        for descriptor in self.descriptors.values():
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)


@contextmanager
def opened(directory: Path, group: int) -> Iterator[Sections]:
    """Creates every section's file in `directory`; afterwards the empty ones and those for the record are removed."""
    descriptors: dict[str, int] = {}
    with ExitStack() as closing:
        for name in (*_DATA, *Section):
            descriptors[str(name)] = files.create(directory / name, group=group)
            closing.callback(os.close, descriptors[str(name)])
        try:
            yield Sections(descriptors)
        finally:
            for name, descriptor in descriptors.items():
                if name in _DATA or os.fstat(descriptor).st_size == 0:
                    (directory / name).unlink()
