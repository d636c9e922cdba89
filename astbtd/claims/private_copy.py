"""Make private copies of cores that must not be touched where they are, that have no name, or that are packed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.elf import core_notes
from astbtd.errors import AstbtdError
from astbtd.lib import files, sparse
from astbtd.lib.decompression import DamagedStream
from astbtd.lib.quantities import format_size
from astbtd.model.crash import CoreFacts
from astbtd.settings import UnpackingSettings
from astbtd.sources.collectors.apport_report import MalformedReport
from astbtd.sources.packed_core import detect_packing

_STEP = 64 << 20
"""Check the disk space each time that this many bytes were unpacked. Any core may unpack to as much, at any ratio."""


class NotUnpacked(AstbtdError):
    """A packed core is larger than the limits allow, or is not a core."""


@dataclass(frozen=True)
class Unpacker:
    """Unpacks cores within limits, since sizes in packed files may be forged.

    `reserve` raises NoRoom if the given number of bytes is not available. `raise_if_stopping` raises to end early.
    """

    limits: UnpackingSettings
    reserve: Callable[[int], None]
    raise_if_stopping: Callable[[], None]

    def unpack(self, packed: int, target: int) -> None:
        """Unpack the core in the open file `packed` into the empty open file `target`, which becomes sparse.

        A packed core that is cut short or damaged is unpacked as far as possible. Raises NotUnpacked, NoRoom.
        """
        packing = detect_packing(packed)
        if packing is None:
            raise NotUnpacked("it is not packed in a known format")
        packed_size = os.fstat(packed).st_size
        size = data = 0  # bytes with and without holes
        self.reserve(packed_size)
        try:
            for block in packing.content():
                self.raise_if_stopping()
                size += len(block)
                before, data = data, data + sparse.write_block(target, block)
                self._check_limits(size, data, packed_size)
                if before // _STEP != data // _STEP:
                    self.reserve(_STEP)
        except (DamagedStream, MalformedReport) as error:
            if size == 0:
                raise NotUnpacked(f"it is damaged: {error}") from error
        os.ftruncate(target, size)

    def _check_limits(self, size: int, data: int, packed_size: int) -> None:
        if size > self.limits.size:
            raise NotUnpacked(
                f"it unpacks to more than {format_size(self.limits.size)}",
                "raise unpacking.size if the file can be trusted",
            )
        if data > max(_STEP, self.limits.ratio * packed_size):
            raise NotUnpacked(
                f"it unpacks to more than {self.limits.ratio} times its size",
                "raise unpacking.ratio if the file can be trusted",
            )


@dataclass(frozen=True)
class PrivateCopies:
    """The copies in the directory `incoming`, which the group `reader` can read.

    `durable`: a copy that was made survives a power failure.
    """

    incoming: Path
    reader: int
    unpacker: Unpacker
    durable: bool = True

    def path(self, crash_id: str) -> Path:
        """Return the path of the copy for a crash."""
        return self.incoming / f"{crash_id}.core"

    def make(self, source: int, crash_id: str, *, packed: bool, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Copy or unpack the open file `source`, and return the descriptor of the copy.

        Call `heartbeat` now and then. Raises NoRoom, NotUnpacked, OSError; an incomplete copy is removed.
        """
        self.remove(crash_id)
        try:
            copy = self._unpack(source, crash_id) if packed else self._copy(source, crash_id, heartbeat)
            return _sync(copy) if self.durable else copy
        except BaseException:
            self.remove(crash_id)
            raise

    def reassign(self, crash_id: str, new_id: str) -> None:
        """Make the copy of a crash that of another one."""
        self.path(crash_id).rename(self.path(new_id))

    def remove(self, crash_id: str) -> None:
        """Remove a copy if it exists."""
        self.path(crash_id).unlink(missing_ok=True)

    def _copy(self, source: int, crash_id: str, heartbeat: Callable[[], None]) -> int:
        path, reserve = self.path(crash_id), self.unpacker.reserve
        return sparse.make_readable_copy(source, path, self.reader, reserve, heartbeat)

    def _unpack(self, source: int, crash_id: str) -> int:
        copy = files.create(self.path(crash_id), files.GROUP_READS, self.reader)
        try:
            self.unpacker.unpack(source, copy)
        except BaseException:
            os.close(copy)
            raise
        return copy


def unpacked_facts(core: int, known: CoreFacts) -> CoreFacts:
    """Return the facts from the unpacked core, completed by those that a collector has provided.

    Raises NotUnpacked if it is not a core.
    """
    try:
        facts = core_notes.read_facts(core)
    except core_notes.NotACore as error:
        raise NotUnpacked(f"it is damaged: {error}") from error
    process = replace(
        facts.process,
        command_line=known.process.command_line,
        cwd=known.process.cwd,
        container=known.process.container,
    )
    return replace(facts, crashed_at=known.crashed_at, process=process)


def _sync(copy: int) -> int:
    try:
        os.fsync(copy)
    except BaseException:
        os.close(copy)
        raise
    return copy
