"""Record deaths of the PBX of which no core appears, from the messages of the kernel and of the service manager."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from astbtd.announce import journal, systemd
from astbtd.asterisk import pbx_users
from astbtd.asterisk.asterisk_processes import innermost_pid
from astbtd.claims.claim import AlreadyClaimed, Claim, ClaimRecord, Claims
from astbtd.claims.core_filter import OtherCore
from astbtd.claims.deaths import EndedProcess, death_record, find_deaths, find_replacement
from astbtd.lib import files
from astbtd.pipeline.known_deaths import find_crash
from astbtd.sources.death_messages import QUERIES, parse_entry
from astbtd.store.store import Store

GRACE = 20.0
"""Seconds that a death must be past: by then its core was found, if there is one, and all messages have arrived."""

_OVERLAP = 180.0  # seconds before the mark that are read again: of two messages about one death, one may be older
_MAX_ENTRIES = 10_000
_MAX_ENDED = 1000
_MAX_OTHER_CORES = 100


class DeathMonitor:
    """Looks for deaths in the journal. `note_running` is called in the main thread, `note_other_core` in the watch
    thread, `check` in the worker's.

    The file `incoming/deaths` has the time up to which deaths are recorded. A new store begins with its own time.
    """

    def __init__(self, store: Store, submit: Callable[[Claim], None]) -> None:
        self._store = store
        self._submit = submit
        self._running: frozenset[int] = frozenset()
        self._scans = -1
        self._seen_at: dict[int, datetime] = {}
        self._ended: dict[int, EndedProcess] = {}
        self._inner_pids: dict[int, int] = {}
        self._other_cores: tuple[OtherCore, ...] = ()
        self.is_due = True
        self._checked_until: float | None = None
        self._mark = store.incoming / "deaths"
        self._mark_failed = False

    def note_running(self, pids: frozenset[int], scans: int = 0) -> tuple[bool, bool]:
        """Note which processes of the PBX run. Return whether one was started, and whether one has ended.

        `scans` is how often they were looked for by a scan: if it is unchanged, nobody has looked since.
        """
        now = datetime.now(UTC)
        started, ended = pids - self._running, self._running - pids
        self._inner_pids.update({pid: innermost_pid(pid) for pid in started})
        for pid in ended:
            self._ended[pid] = EndedProcess(pid, self._seen_at[pid], now, self._inner_pids.pop(pid))
        if started or ended or scans != self._scans:
            self._seen_at = dict.fromkeys(pids, now)
        self._running, self._scans = pids, scans
        while len(self._ended) > _MAX_ENDED:
            self._ended.pop(next(iter(self._ended)))
        return bool(started), bool(ended)

    def note_other_core(self, core: OtherCore | None) -> None:
        """Note a core of another program, which may have replaced one of the PBX. The last 100 are remembered."""
        if core:
            self._other_cores = (*self._other_cores, core)[-_MAX_OTHER_CORES:]

    def check_if_due(self, claims: Claims, executables: Collection[str]) -> None:
        """Do what `check` does if it was requested by `is_due`. Raise AstbtdError.

        A request that is made meanwhile is carried out by the next call.
        """
        if not self.is_due:
            return
        self.is_due = False
        try:
            self.check(claims, executables)
        except BaseException:
            self.is_due = True
            raise

    def check(self, claims: Claims, executables: Collection[str]) -> None:
        """Claim each death without a core, so that it is recorded. Raise AstbtdError if that is not possible now."""
        until = time.time() - GRACE
        since = self._checked_until or _read(self._mark)
        if since is not None and since > until:  # the clock was set back: deaths since then are dated before the mark
            since = until - _OVERLAP
        if since is not None:
            entries = islice(systemd.entries_since(QUERIES, since - _OVERLAP), _MAX_ENTRIES)
            messages = [message for message in map(parse_entry, entries) if message]
            units = pbx_users.find_units(executables)
            known: set[str] = set()
            for death in find_deaths(messages, units, list(self._ended.values()), executables):
                crash_id = find_crash(self._store, claims, death, known)
                if crash_id is None and since <= death.last_at.timestamp() < until:
                    replacement = find_replacement(death, self._other_cores)
                    crash_id = self._claim(claims, death_record(death, replacement))
                known |= {crash_id} if crash_id else set()
        self._checked_until = until
        self._save_mark()

    def _save_mark(self) -> None:
        """Save up to when deaths were searched. If that fails, the next daemon searches the same messages again."""
        try:
            files.replace(self._mark, f"{self._checked_until:.6f}\n".encode(), files.PRIVATE_FILE_MODE)
        except OSError as error:
            if not self._mark_failed:
                journal.log(f"cannot write {self._mark}: {error.strerror} (will be retried)", journal.Priority.WARNING)
            self._mark_failed = True
        else:
            self._mark_failed = False

    def _claim(self, claims: Claims, record: ClaimRecord) -> str | None:
        """Claim a death, unless it was recorded before: retention may have removed the record."""
        if self._store.collected.among({record.facts.identity}):
            return None
        try:
            claim = claims.claim_lost_core(record)
        except AlreadyClaimed:
            return None
        self._submit(claim)
        return claim.id


def _read(mark: Path) -> float | None:
    try:
        return float(mark.read_text())
    except (OSError, ValueError):
        return None
