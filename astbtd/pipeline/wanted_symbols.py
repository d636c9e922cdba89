"""What the records of kept crashes say about the debug files that they lack."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from astbtd.errors import NoRoom
from astbtd.model.crash import Crash, LackingSymbols
from astbtd.pipeline.lacking_symbols import lacking_builds, read_threads
from astbtd.store.record import DiagnosisSummary, SignatureSummary
from astbtd.store.store import DamagedRecord, Store


@dataclass(frozen=True)
class ExtractionSummary:
    """Part of `extraction`."""

    awaits_gdb: bool = False


@dataclass(frozen=True)
class SymbolFields:
    """The part of `crash.json` that decides whether another extraction would give more."""

    diagnosis: DiagnosisSummary
    extraction: ExtractionSummary
    signature: SignatureSummary | None
    texts_removed_at: datetime | None = None
    lacking_symbols: tuple[LackingSymbols, ...] | None = None
    foreign: bool | None = None


@dataclass(frozen=True)
class WantedSymbols:
    """Finds the builds whose debug files kept crashes lack."""

    store: Store

    def builds(self) -> tuple[str, ...]:
        """Return the build ids, those of the newest crashes first."""
        lacking = (each for _, fields in self.kept() for each in fields.lacking_symbols or ())
        return tuple(dict.fromkeys(each.build_id for each in lacking))

    def needed_builds(self) -> frozenset[str]:
        """Return the build ids of all objects that kept cores have."""
        return frozenset(self._needed())

    def kept(self) -> Iterator[tuple[str, SymbolFields]]:
        """Yield the id of each crash with a kept core, newest first, and what its record says about symbols.

        A record of an earlier version does not say it: then its text does, and the record is completed. A foreign crash
        gets none: what its user decides is not asked for, and does not use up the budget of the PBX's.
        """
        for crash_id in filter(self.store.has_core, self.store.newest()):
            with suppress(DamagedRecord):
                fields = self.store.load_part(crash_id, SymbolFields)
                if fields.foreign:
                    fields = replace(fields, lacking_symbols=())
                elif fields.lacking_symbols is None and not fields.extraction.awaits_gdb:
                    fields = replace(fields, lacking_symbols=self._complete(crash_id))
                yield crash_id, fields

    def _needed(self) -> Iterator[str]:
        for crash in self.store.crashes():
            if self.store.has_core(crash.id):
                found = (crash.process.build_id, *(each.build_id for each in crash.objects or ()))
                yield from filter(None, found)

    def _complete(self, crash_id: str) -> tuple[LackingSymbols, ...]:
        crash = self.store.load(crash_id)
        threads = read_threads(self.store.directory(crash_id))
        builds = lacking_builds(crash.process.build_id, crash.objects or (), threads)
        lacking = tuple(map(LackingSymbols, builds))

        def complete(stored: Crash) -> Crash:
            return stored if stored.lacking_symbols is not None else replace(stored, lacking_symbols=lacking)

        with suppress(NoRoom):  # the next call tries again
            self.store.change(crash_id, complete)
        return lacking
