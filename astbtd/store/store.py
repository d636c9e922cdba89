"""The store on disk: one directory per crash, complete or absent. Their names sort by crash time.

crashes/<id>/  crash.json, the texts, core.zst        incoming/  staging, private
latest         link to the newest crash               seen       identities of all cores ever collected
schema         of the newest records                  removed    ids of the records that retention has removed
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from astbtd.errors import AstbtdError
from astbtd.lib import files, json_file
from astbtd.lib.path_walk import refuse_exchangeable
from astbtd.model.record_summary import CRASH_ID, KEPT_CORE_FILE, OBJECTS_SUFFIX, RECORD_FILE
from astbtd.store import record, store_schema
from astbtd.store.collected_identities import CollectedIdentities
from astbtd.store.record import DamagedRecord, RecordSummary, RemovedCrash, RetentionFields, crash_second
from astbtd.store.record_limits import LARGEST_RECORD

if TYPE_CHECKING:
    from astbtd.model.crash import Crash

__all__ = ["DamagedRecord", "RemovedCrash", "Store", "crash_second"]

_REMOVED_SUFFIX = ".removed"
T = TypeVar("T")


@dataclass(frozen=True)
class Store:
    """The store in the directory `root`. Members of the group with the id `group` can read its files; -1: our group."""

    root: Path
    group: int = -1

    @property
    def incoming(self) -> Path:
        """The directory where crashes are staged and claim files are kept."""
        return self.root / "incoming"

    @property
    def is_new(self) -> bool:
        """True until the cores that existed before the store have been collected."""
        return self._new.exists()

    def mark_initialized(self) -> None:
        """Record that the cores that existed before the store have been collected: `is_new` becomes False."""
        self._new.unlink(missing_ok=True)
        files.sync_directory(self.incoming)

    def prepare(self) -> None:
        """Create the directories of the store, or correct their modes.

        Raise AstbtdError if that fails, or if a newer version of astbtd has used the store.
        """
        with files.wrap_os_error(f"cannot use the store {self.root}"):
            refuse_exchangeable(self.root)
            self.root.parent.mkdir(parents=True, exist_ok=True)
            store_schema.refuse_newer(self.root)
            files.make_directory(self.root, group=self.group)
            files.make_directory(self.incoming, files.PRIVATE_DIRECTORY_MODE)
            if not self._crashes.exists():
                files.replace(self._new, b"", files.PRIVATE_FILE_MODE)
            files.make_directory(self._crashes, group=self.group)
        store_schema.mark(self.root, self.group)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the one daemon of this store. Raise AstbtdError if another process holds it."""
        try:
            with files.locked(self.incoming / "lock", wait=False):
                yield
        except BlockingIOError as error:
            raise AstbtdError(f"another astbtd runs on the store {self.root}", "systemctl status astbtd") from error

    def directory(self, crash_id: str) -> Path:
        """Return the directory of a crash."""
        return self._crashes / crash_id

    def stage(self, crash_id: str) -> Path:
        """Create an empty directory to make a crash in. Remove what an earlier attempt left there, and its objects."""
        staged = self.incoming / crash_id
        files.remove_tree(staged)
        files.remove_tree(staged.with_name(f"{crash_id}{OBJECTS_SUFFIX}"))
        files.make_directory(staged, group=self.group)
        return staged

    def commit(self, staged: Path, crash: "Crash") -> Path:
        """Make a staged crash visible in one step and return its directory."""
        self._write_record(staged, crash)
        files.sync_tree(staged)
        return files.publish(staged, self.directory(crash.id))

    def change(self, crash_id: str, function: Callable[["Crash"], "Crash"]) -> "Crash":
        """Replace the record of a crash by what `function` returns for it, and return the new record.

        Raise DamagedRecord, NoRoom, or AstbtdError if permission is denied.
        """
        with files.wrap_os_error(f"cannot change the record of {crash_id}"), self.change_lock():
            before = self.load(crash_id)
            after = function(before)
            if after != before:
                self._write_record(self.directory(crash_id), after)
            return after

    def write_record(self, crash: "Crash") -> None:
        """Replace the record of a crash. The caller must hold `change_lock` and have read the record since.

        Raise NoRoom if the disk is full.
        """
        with files.wrap_os_error(f"cannot change the record of {crash.id}"):
            self._write_record(self.directory(crash.id), crash)

    @contextmanager
    def change_lock(self) -> Iterator[None]:
        """Hold the lock for changes of records, which excludes other threads and processes. Wait for it."""
        with files.locked(self.incoming / "changes"):
            yield

    def remove(self, crash_id: str) -> bool:
        """Remove a crash with all its files, for readers in one step. Return False if there is no such crash."""
        doomed = self.incoming / f"{crash_id}{_REMOVED_SUFFIX}"
        files.remove_tree(doomed)
        try:
            self.directory(crash_id).rename(doomed)
        except FileNotFoundError:
            return False
        files.sync_directory(self._crashes)
        files.remove_tree(doomed)
        return True

    def finish_removals(self) -> None:
        """Delete what is left of crashes whose removal was interrupted."""
        for doomed in self.incoming.glob(f"*{_REMOVED_SUFFIX}"):
            with self.change_lock():
                files.remove_tree(doomed)

    def ids(self) -> list[str]:
        """Return the ids of all crashes, newest first. Raise AstbtdError if the store cannot be read."""
        return list(self.newest())

    def newest(self, until: str | None = None) -> Iterator[str]:
        """Yield the ids of all crashes, newest first; with the id `until`, omit crashes of later seconds.

        The first ids are available without sorting out the order of thousands of others.
        """
        names = self._names()
        names.sort(reverse=True)  # in place: a second list of 100,000 names would be noticed
        for moment, same_second in groupby(filter(CRASH_ID.fullmatch, names), crash_second):
            if until is None or moment <= crash_second(until):
                yield from self._newest_first(list(same_second))

    def near(self, moment: datetime, distance: timedelta) -> list[str]:
        """Return the ids with times around `moment`, in no particular order: no record is read."""
        first, last = (f"{moment + change:%Y%m%dT%H%M%SZ}" for change in (-distance, distance))
        return [name for name in filter(CRASH_ID.fullmatch, self._names()) if first <= crash_second(name) <= last]

    def newest_of_pbx(self) -> Iterator[str]:
        """Yield the ids of the PBX's crashes, newest first, without the foreign ones. Damaged records count as its."""
        for crash_id in self.newest():
            with suppress(DamagedRecord):
                if self.load_summary(crash_id).foreign:
                    continue
            yield crash_id

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._crashes)
        except FileNotFoundError:
            return []
        except PermissionError as error:
            remedy = "use sudo, or join the group: adduser USER astbtd"
            raise AstbtdError(f"permission denied reading {self.root}", remedy) from error
        except OSError as error:
            raise AstbtdError(f"cannot read the store {self.root}: {error.strerror}", "check --store") from error

    def load(self, crash_id: str) -> "Crash":
        """Read the record of a crash. Raise DamagedRecord."""
        from astbtd.model.crash import Crash  # importing it takes longer than reading twenty summaries

        return self._read(crash_id, Crash)

    def load_summary(self, crash_id: str) -> RecordSummary:
        """Read the fields of a record that lists show. Raise DamagedRecord."""
        return self._read(crash_id, RecordSummary)

    def load_part(self, crash_id: str, part: type[T]) -> T:
        """Read the fields of a record that `part` has, such as record.SiteFields. Raise DamagedRecord."""
        return self._read(crash_id, part)

    def load_retention_fields(self, crash_id: str) -> RetentionFields:
        """Read the fields of a record that retention needs. Raise DamagedRecord."""
        return self._read(crash_id, RetentionFields)

    def crashes(self) -> Iterator["Crash"]:
        """Yield the records of all crashes, newest first. Skip damaged records."""
        for crash_id in self.newest():
            with suppress(DamagedRecord):
                yield self.load(crash_id)

    def summaries(self, until: str | None = None) -> Iterator[RecordSummary]:
        """Yield the summaries of all crashes, newest first; `until` as in `newest`. Skip damaged records."""
        for crash_id in self.newest(until):
            with suppress(DamagedRecord):
                yield self.load_summary(crash_id)

    def update_latest(self) -> None:
        """Make the link `latest` point to the newest crash; remove it if there is no crash."""
        wanted = self._newest_crash()
        if self._latest_target() == wanted:
            return
        if wanted is None:
            self._latest.unlink()
        else:
            files.replace_symlink(self._latest, wanted)

    @property
    def is_latest_correct(self) -> bool:
        """True if `latest` points to the newest crash, or is absent because there is none."""
        return self._latest_target() == self._newest_crash()

    @property
    def collected(self) -> CollectedIdentities:
        """The identities of all cores that were ever collected."""
        return CollectedIdentities(self.root / "seen", self.change_lock)

    def sizes(self, crash_id: str) -> dict[str, int]:
        """Return the size of each file of a crash in bytes, by name. Empty if there is no such crash."""
        try:
            with os.scandir(self._path(crash_id)) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if not entry.name.startswith(".")}
        except FileNotFoundError:  # removed by another process, perhaps during the scan
            return {}

    def size(self, crash_id: str) -> int:
        """Return the size of all files of a crash in bytes."""
        return sum(self.sizes(crash_id).values())

    def has_core(self, crash_id: str) -> bool:
        """Return True if the core of a crash is kept in the store."""
        return os.path.exists(self._path(crash_id, KEPT_CORE_FILE))

    def kept_core(self, crash_id: str) -> Path:
        """Return the path that the compressed core of a crash has if it is kept."""
        return self.directory(crash_id) / KEPT_CORE_FILE

    def _newest_first(self, same_second: list[str]) -> list[str]:
        """Order crashes of one second by their records: the ids do not have the fraction."""
        if len(same_second) == 1:
            return same_second
        return sorted(same_second, key=lambda crash_id: (_crash_time(self, crash_id), crash_id), reverse=True)

    def _newest_crash(self) -> str | None:
        return next((f"crashes/{crash_id}" for crash_id in self.newest_of_pbx()), None)

    def _latest_target(self) -> str | None:
        return os.readlink(self._latest) if self._latest.is_symlink() else None

    @property
    def _latest(self) -> Path:
        return self.root / "latest"

    @property
    def _new(self) -> Path:
        return self.incoming / "new"

    @property
    def _crashes(self) -> Path:
        return self.root / "crashes"

    def _read(self, crash_id: str, kind: type[T]) -> T:
        try:
            return json_file.read(self._path(crash_id, RECORD_FILE), kind, LARGEST_RECORD)
        except json_file.Damaged as error:
            if not os.path.isdir(self._path(crash_id)):
                raise RemovedCrash(crash_id) from error
            raise DamagedRecord(crash_id, error.message) from error

    def _path(self, crash_id: str, *name: str) -> str:
        """Return a path as a string. For thousands of crashes, pathlib would take as long as reading the records."""
        return os.path.join(self.root, "crashes", crash_id, *name)

    def _write_record(self, directory: Path, crash: "Crash") -> None:
        files.replace(directory / RECORD_FILE, record.to_json(crash), group=self.group)


@lru_cache(maxsize=4096)
def _crash_time(store: Store, crash_id: str) -> datetime:
    """Read the exact crash time. It never changes, and in a crash loop the same ones are needed again and again."""
    try:
        return store.load_summary(crash_id).crashed_at
    except DamagedRecord as error:
        return error.crashed_at
