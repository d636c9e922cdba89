"""Keep one record for each death of the PBX: of a death without a core, and of its core if that turns up later.

The record with the core says which one it replaces. So those who were told of the death before, without its core, do
not take it for a second crash.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

from astbtd.claims.claim import ClaimRecord, Claims
from astbtd.claims.deaths import Death
from astbtd.model.crash import CoreFacts, CoreState, Crash, IdentityFrom, LostCore, ReplacedRecord
from astbtd.pipeline.crash_site import logged_site
from astbtd.store.id_lookup import SAME_DEATH
from astbtd.store.record import ProcessSummary, SiteSummary, crash_pid, crash_time
from astbtd.store.store import DamagedRecord, Store

_SAME_PROCESS = timedelta(seconds=120)
_SAME_MOMENT = timedelta(seconds=10)


@dataclass(frozen=True)
class _CoreFields:
    """Part of `core`."""

    identity_from: IdentityFrom
    path: str
    state: CoreState
    size: int = 0


@dataclass(frozen=True)
class _KnownCrash:
    """The part of `crash.json` that tells of which death a crash is the record."""

    id: str
    crashed_at: datetime
    core: _CoreFields
    process: ProcessSummary
    site: SiteSummary | None = None
    pinned: bool = False
    foreign: bool | None = None

    @property
    def missing(self) -> "_MissingCore | None":
        """What is known of its core if that may turn up as another file; None if it has one, or its identity."""
        core, pid = self.core, self.process.pid
        if core.state is CoreState.NONE or core.identity_from is IdentityFrom.DEATH:
            return _MissingCore(self.crashed_at, pid)
        if core.state is CoreState.LOST and core.identity_from is IdentityFrom.FILE and pid is None:
            return _MissingCore(self.crashed_at, None, os.path.dirname(core.path))
        return None

    def is_without_core(self, crash: "_KnownCrash") -> bool:
        """Return whether this is a record of another crash, without its core."""
        missing = self.missing
        return missing is not None and not self.foreign and missing.is_of(crash)

    def is_of_file(self, facts: CoreFacts) -> bool:
        """Return whether the core was a file of this process, size and time, and had no other identity."""
        ours = self.core.identity_from, self.process.pid, self.core.size, self.crashed_at
        return ours == (IdentityFrom.FILE, facts.process.pid, facts.size, facts.crashed_at)


@dataclass(frozen=True)
class _MissingCore:
    """A core that was not found. `directory` is where it was seen before it vanished, at `at`; None for a death."""

    at: datetime
    pid: int | None
    directory: str | None = None

    def is_of(self, crash: _KnownCrash) -> bool:
        """Return whether it is the core of a crash, by process, time and directory."""
        difference, pid = crash.crashed_at - self.at, crash.process.pid
        if self.directory is not None:  # it was renamed, or another one was written afterwards
            is_there = os.path.dirname(crash.core.path) == self.directory
            return is_there and -_SAME_MOMENT <= difference <= timedelta(0)
        if self.pid is None or pid is None:
            return abs(difference) <= _SAME_MOMENT
        return pid == self.pid and abs(difference) <= _SAME_PROCESS


def find_crash(store: Store, claims: Claims, death: Death, known: set[str]) -> str | None:
    """Return the id of the recorded or claimed crash that is this death, None if there is none; not one of `known`."""
    for crash in _around(store, death.at, death.pid):
        if crash.id not in known and not crash.foreign and death.is_crash(crash.process.pid, crash.crashed_at):
            return crash.id
    for crash_id in claims.ids():
        record = None if crash_id in known else claims.read_record(crash_id)
        if record and not record.foreign and death.is_crash(record.facts.process.pid, record.facts.crashed_at):
            return crash_id
    return None


def find_copy(store: Store, facts: CoreFacts, *, foreign: bool) -> str | None:
    """Return the crash that was recorded from another copy of a core without an identity, such as a truncated one.

    Of a core that was moved to another file system, or copied with its times, process, size and time are the same. Only
    foreign crashes are compared if it is `foreign`, and otherwise none of them.
    """
    pid = facts.process.pid
    if facts.identity_from is not IdentityFrom.FILE or pid is None:
        return None
    around = _around(store, facts.crashed_at, pid)
    copies = (crash.id for crash in around if crash.is_of_file(facts) and bool(crash.foreign) == foreign)
    return next(copies, None)


def take_over(store: Store, crash: Crash, claims: Claims | None = None) -> Crash:
    """Return a crash as one that replaces the record of the same death without its core, if there is one.

    That record is removed by `remove_replaced`, once this one is stored. If it is only claimed yet, it is not made:
    `id_lookup.find_replacing` then finds this one.
    """
    ours, pid = _from_record(crash), crash.process.pid
    if crash.foreign or ours.missing is not None:
        return crash
    claimed = _claimed_around(claims, crash.crashed_at, pid) if claims else ()
    known = chain(_around(store, crash.crashed_at, pid), claimed)
    replaced = next((each for each in known if each.is_without_core(ours)), None)
    if replaced is None:
        return crash
    site = replaced.site.id if replaced.site else None
    return replace(crash, replaces=ReplacedRecord(replaced.id, site), pinned=crash.pinned or replaced.pinned)


def remove_replaced(store: Store, crash: Crash) -> None:
    """Remove the record that a stored crash replaces."""
    if crash.replaces:
        store.remove(crash.replaces.id)


def _from_record(crash: Crash) -> _KnownCrash:
    core = _CoreFields(crash.core.identity_from, crash.core.path, crash.core.state)
    return _KnownCrash(crash.id, crash.crashed_at, core, ProcessSummary(crash.process.pid))


def _around(store: Store, moment: datetime, pid: int | None) -> Iterator[_KnownCrash]:
    """Yield the crashes around a time that may be of a process.

    In a burst of crashes very many are around: only those that may be meant are read.
    """
    for crash_id in filter(_may_be_of(pid), store.near(moment, SAME_DEATH)):
        with suppress(DamagedRecord):
            yield store.load_part(crash_id, _KnownCrash)


def _claimed_around(claims: Claims, moment: datetime, pid: int | None) -> Iterator[_KnownCrash]:
    """Yield the crashes without a core that are claimed, but not recorded yet."""
    for crash_id in filter(_may_be_of(pid), claims.ids()):
        record = claims.read_record(crash_id) if abs(crash_time(crash_id) - moment) <= SAME_DEATH else None
        if record and record.loss:
            yield _from_claim(crash_id, record, record.loss)


def _from_claim(crash_id: str, record: ClaimRecord, loss: LostCore) -> _KnownCrash:
    facts, site = record.facts, logged_site(loss.frame)
    core = _CoreFields(facts.identity_from, record.path, CoreState.NONE if loss.is_none else CoreState.LOST)
    known_site = SiteSummary(site.id) if site else None
    return _KnownCrash(crash_id, facts.crashed_at, core, ProcessSummary(facts.process.pid), known_site)


def _may_be_of(pid: int | None) -> Callable[[str], bool]:
    """Return the test whether the crash with an id may be of a process."""
    return lambda crash_id: pid is None or crash_pid(crash_id) in (pid, None)
