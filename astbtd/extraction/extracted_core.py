"""The core that an extraction gets, and what it finds besides the texts of the sections."""

from collections.abc import Callable
from dataclasses import dataclass

from astbtd.extraction.build_ids import MappedObject
from astbtd.extraction.shared_objects import SharedObjects
from astbtd.model.crash import Asterisk, CoreFacts, Extraction, ExtractionOutcome, Symbols
from astbtd.model.deadlock_capture import ThreadStates


@dataclass(frozen=True)
class ReadableCore:
    """A core, open at `descriptor`, and the facts from its notes."""

    descriptor: int
    facts: CoreFacts


OpenForGdb = Callable[[], ReadableCore]
"""Opens a core at the first call, and returns the same at each further one. It stays open until all work is done."""


def opened_before(core: int, facts: CoreFacts) -> OpenForGdb:
    """Return a function for `Extractor.extract` that returns a core which is open already."""
    return lambda: ReadableCore(core, facts)


@dataclass(frozen=True)
class ExtractionResult:
    """What gdb reported besides the sections' texts. `crashed_frames` is the number of frames of the crashed thread."""

    extraction: Extraction
    asterisk: Asterisk
    abort_message: str | None
    thread_states: ThreadStates
    objects: SharedObjects
    mapped: tuple[MappedObject, ...] = ()
    crashed_frames: int | None = None


NO_EXTRACTION = ExtractionResult(
    Extraction(gdb_version=None, seconds=0.0, ended=ExtractionOutcome.OK, sections={}, symbols=Symbols.ALL),
    Asterisk(),
    None,
    ThreadStates(),
    SharedObjects(),
)
"""The result for a crash without a core."""
