"""Private copies of cores that must not be touched where they are, that have no name there, or that are packed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.claims.unpack import NotUnpacked, Unpacker
from astbtd.elf import core_notes
from astbtd.lib import files, sparse
from astbtd.model.crash import CoreFacts


@dataclass(frozen=True)
class PrivateCopies:
    """The copies in `incoming`, which the group `reader` can read; `unpacker` knows how much room there is."""

    incoming: Path
    reader: int
    unpacker: Unpacker

    def path(self, crash_id: str) -> Path:
        """Where the copy of a crash's core is."""
        return self.incoming / f"{crash_id}.core"

    def make(self, source: int, crash_id: str, *, packed: bool, alive: Callable[[], None] = lambda: None) -> int:
        """Copies or unpacks the file open at `source`, durably, and returns the copy's descriptor.

        Calls `alive` now and then. Raises NoRoom, NotUnpacked, OSError; of a copy that was not completed nothing is
        left.
        """
        self.remove(crash_id)
        try:
            copy = self._unpacked(source, crash_id) if packed else self._copied(source, crash_id, alive)
        except BaseException:
            self.remove(crash_id)
            raise
        return copy

    def give(self, crash_id: str, new: str) -> None:
        """Gives a copy to another crash."""
        self.path(crash_id).rename(self.path(new))

    def remove(self, crash_id: str) -> None:
        """Removes a copy, if it is there."""
        self.path(crash_id).unlink(missing_ok=True)

    def _copied(self, source: int, crash_id: str, alive: Callable[[], None]) -> int:
        return _synced(sparse.readable_copy(source, self.path(crash_id), self.reader, self.unpacker.reserve, alive))

    def _unpacked(self, source: int, crash_id: str) -> int:
        copy = files.create(self.path(crash_id), files.GROUP_READS, self.reader)
        try:
            self.unpacker.unpack(source, copy)
        except BaseException:
            os.close(copy)
            raise
        return _synced(copy)


def unpacked_facts(core: int, known: CoreFacts) -> CoreFacts:
    """The facts of a core that was unpacked; its whole tells more than its beginning, and what others told stays.

    Raises NotUnpacked where it is no core after all.
    """
    try:
        whole = core_notes.read_facts(core)
    except core_notes.NotACore as error:
        raise NotUnpacked(f"it is damaged: {error}") from error
    process = replace(
        whole.process,
        command_line=known.process.command_line,
        cwd=known.process.cwd,
        container=known.process.container,
    )
    return replace(whole, crashed_at=known.crashed_at, process=process)


def _synced(copy: int) -> int:
    try:
        os.fsync(copy)
    except BaseException:
        os.close(copy)
        raise
    return copy
