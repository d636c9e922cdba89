"""Which debug files would make kept crashes more usable: those of the objects that have frames without source lines."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from astbtd.backtrace import parser
from astbtd.backtrace.gdb_frame import Frame
from astbtd.model.crash import Crash, Section
from astbtd.pipeline.analysis import open_section
from astbtd.store.store import DamagedRecord, Store

_CHUNK = 1 << 16  # characters of a backtrace that are read at a time


def frames_without_source(text: Iterable[str]) -> list[Frame]:
    """Return the frames in a backtrace for which gdb knew no source file."""
    threads = parser.parse(text).threads
    return [frame for thread in threads for frame in thread.frames if frame.file is None and not frame.signal_handler]


def lacking_builds(crash: Crash, directory: Path) -> tuple[str, ...]:
    """Return the build ids of the objects with such frames, the program's first. `directory` has the crash's texts.

    gdb names the object of such a frame, except the program. It names it as the process did, which may be through a
    link: so the file name decides.
    """
    with open_section(directory / Section.BRIEF) as text:
        frames = frames_without_source(iter(partial(text.read, _CHUNK), ""))
    names = {os.path.basename(frame.library) for frame in frames if frame.library}
    found = [crash.process.build_id] if any(not frame.library for frame in frames) else []
    found += [each.build_id for each in crash.objects or () if os.path.basename(each.path) in names]
    return tuple(dict.fromkeys(filter(None, found)))


@dataclass(frozen=True)
class WantedSymbols:
    """Finds the builds whose debug files kept crashes lack. What it has read in a text is remembered."""

    store: Store
    _known: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    def builds(self) -> tuple[str, ...]:
        """Return the build ids, those of the newest crashes first."""
        kept = [crash_id for crash_id in self.store.newest() if self.store.has_core(crash_id)]
        for removed in self._known.keys() - set(kept):
            del self._known[removed]
        return tuple(dict.fromkeys(build_id for crash_id in kept for build_id in self._lacking(crash_id)))

    def needed_builds(self) -> frozenset[str]:
        """Return the build ids of all objects that kept cores have."""
        return frozenset(self._needed())

    def _needed(self) -> Iterator[str]:
        for crash in self.store.crashes():
            if self.store.has_core(crash.id):
                found = (crash.process.build_id, *(each.build_id for each in crash.objects or ()))
                yield from filter(None, found)

    def _lacking(self, crash_id: str) -> tuple[str, ...]:
        directory = self.store.directory(crash_id)
        try:
            version = (directory / Section.BRIEF).stat().st_mtime_ns
            known = self._known.get(crash_id)
            if known is None or known[0] != version:
                known = version, lacking_builds(self.store.load(crash_id), directory)
                self._known[crash_id] = known
        except (DamagedRecord, FileNotFoundError):
            return ()
        return known[1]
