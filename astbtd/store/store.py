"""The directory of records: one directory per crash, complete or absent, newest first by name.

crashes/<id>/  crash.json, the texts, core.zst        incoming/  staging, private
latest         link to the newest crash               seen       identities of all cores ever collected
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.record_summary import CRASH_ID, KEPT_CORE_FILE, RECORD_FILE
from astbtd.store import collected_identities, record
from astbtd.store.outline import RecordSummary, RetentionFields

if TYPE_CHECKING:
    from astbtd.model.crash import Crash

_LARGEST_RECORD = 4 << 20
_REMOVED_SUFFIX = ".removed"
T = TypeVar("T")


class DamagedRecord(AstbtdError):
    """A crash's record is missing or cannot be understood; `crashed_at` is what the crash's id tells."""

    def __init__(self, crash_id: str, reason: str) -> None:
        super().__init__(f"the record of {crash_id} is damaged: {reason}")
        self.crashed_at = datetime.strptime(second(crash_id), "%Y%m%dT%H%M%S%z")


@dataclass(frozen=True)
class Store:
    """The store at `root`; its files are readable by `group`, -1 for our own."""

    root: Path
    group: int = -1

    @property
    def incoming(self) -> Path:
        """Where crashes are made, and claims noted."""
        return self.root / "incoming"

    @property
    def is_new(self) -> bool:
        """Whether the cores that were waiting when the store was made are still to be collected."""
        return self._new.exists()

    def no_longer_new(self) -> None:
        """Remembers that the cores that had been waiting are collected."""
        self._new.unlink(missing_ok=True)
        files.sync_directory(self.incoming)

    def prepare(self) -> None:
        """Makes the store's directories, or brings them to their modes. Raises AstbtdError."""
        with files.said_plainly(f"cannot use the store {self.root}"):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            files.make_directory(self.root, group=self.group)
            files.make_directory(self.incoming, files.PRIVATE_DIRECTORY_MODE)
            if not self._crashes.exists():
                files.replace(self._new, b"", files.PRIVATE_FILE_MODE)
            files.make_directory(self._crashes, group=self.group)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second daemon off the store. Raises AstbtdError if there is one."""
        try:
            with files.locked(self.incoming / "lock", wait=False):
                yield
        except BlockingIOError as error:
            raise AstbtdError(f"another astbtd runs on the store {self.root}", "systemctl status astbtd") from error

    def directory(self, crash_id: str) -> Path:
        """Where a crash's files are."""
        return self._crashes / crash_id

    def stage(self, crash_id: str) -> Path:
        """A new, empty directory to make a crash in; what an earlier attempt left there is removed."""
        staged = self.incoming / crash_id
        files.remove_tree(staged)
        files.make_directory(staged, group=self.group)
        return staged

    def commit(self, staged: Path, crash: "Crash") -> Path:
        """Makes a staged crash visible in one step and returns its directory."""
        self._write_record(staged, crash)
        files.sync_tree(staged)
        return files.publish(staged, self.directory(crash.id))

    def change(self, crash_id: str, how: Callable[["Crash"], "Crash"]) -> "Crash":
        """Replaces the record of a crash by what `how` makes of it, and returns that.

        Raises DamagedRecord, NoRoom, or AstbtdError where it is not permitted.
        """
        with files.said_plainly(f"cannot change the record of {crash_id}"), self.changing():
            before = self.load(crash_id)
            after = how(before)
            if after != before:
                self._write_record(self.directory(crash_id), after)
            return after

    def write(self, crash: "Crash") -> None:
        """Replaces the record of a crash, for whoever holds `changing` and has read it since. Raises NoRoom."""
        with files.said_plainly(f"cannot change the record of {crash.id}"):
            self._write_record(self.directory(crash.id), crash)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keeps all others, in this process or another, from changing records meanwhile; waits for who does."""
        with files.locked(self.incoming / "changes"):
            yield

    def remove(self, crash_id: str) -> bool:
        """Removes a crash with all its files, in one step for whoever reads meanwhile; False if there is none."""
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
        """Removes what is left of crashes whose removal was interrupted."""
        for doomed in self.incoming.glob(f"*{_REMOVED_SUFFIX}"):
            with self.changing():
                files.remove_tree(doomed)

    def ids(self) -> list[str]:
        """The ids of all crashes, newest first. Raises AstbtdError where the store cannot be read."""
        return list(self.newest())

    def newest(self, until: str | None = None) -> Iterator[str]:
        """The same ids one by one: who wants the first few is not kept waiting for thousands."""
        names = filter(CRASH_ID.fullmatch, sorted(self._names(), reverse=True))
        for moment, same in groupby(names, second):
            if until is None or moment <= second(until):
                yield from self._newest_first(list(same))

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._crashes)
        except FileNotFoundError:
            return []
        except PermissionError as error:
            remedy = "use sudo, or join the group: adduser USER astbtd"
            raise AstbtdError(f"the store {self.root} cannot be read by you", remedy) from error
        except OSError as error:
            raise AstbtdError(f"the store {self.root} cannot be read: {error.strerror}", "check --store") from error

    def load(self, crash_id: str) -> "Crash":
        """The record of a crash. Raises DamagedRecord."""
        from astbtd.model.crash import Crash  # which takes longer to load than twenty outlines to read

        return self._read(crash_id, Crash)

    def outline(self, crash_id: str) -> RecordSummary:
        """The record of a crash in short. Raises DamagedRecord."""
        return self._read(crash_id, RecordSummary)

    def upkeep(self, crash_id: str) -> RetentionFields:
        """What of a crash's record decides how long it is kept. Raises DamagedRecord."""
        return self._read(crash_id, RetentionFields)

    def crashes(self) -> Iterator["Crash"]:
        """All crashes, newest first; damaged records are passed over."""
        for crash_id in self.newest():
            with suppress(DamagedRecord):
                yield self.load(crash_id)

    def outlines(self, until: str | None = None) -> Iterator[RecordSummary]:
        """All crashes in short, in the same way; with `until`, the id of one, those of later seconds are left out."""
        for crash_id in self.newest(until):
            with suppress(DamagedRecord):
                yield self.outline(crash_id)

    def point_latest(self) -> None:
        """Lets `latest` lead to the newest crash."""
        wanted = self._newest_crash()
        if self._pointed_at() == wanted:
            return
        if wanted is None:
            self._latest.unlink()
        else:
            files.point(self._latest, wanted)

    @property
    def latest_is_right(self) -> bool:
        """Whether `latest` leads to the newest crash, or is absent where there is none."""
        return self._pointed_at() == self._newest_crash()

    def _newest_crash(self) -> str | None:
        return next((f"crashes/{crash_id}" for crash_id in self.newest()), None)

    def _pointed_at(self) -> str | None:
        return os.readlink(self._latest) if self._latest.is_symlink() else None

    def seen(self) -> set[str]:
        """The identities of all cores that were ever collected."""
        return set(collected_identities.every(self._seen))

    def seen_among(self, identities: Collection[str]) -> set[str]:
        """Those of these identities whose cores were collected."""
        return collected_identities.among(self._seen, identities)

    def mark_seen(self, identity: str) -> None:
        """Remembers, durably, that a core was collected."""
        with self.changing():
            files.append_line(self._seen, identity)

    def forget_oldest_seen(self) -> None:
        """Keeps the list of identities from growing for ever: the oldest cores are long gone."""
        with self.changing():
            collected_identities.shorten(self._seen)

    def forget_seen(self, junk: Collection[str]) -> None:
        """Takes out of the list of identities what is none."""
        with self.changing():
            collected_identities.take_out(self._seen, junk)

    def sizes(self, crash_id: str) -> dict[str, int]:
        """The bytes of each file of a crash, by name; none where there is no such crash."""
        try:
            with os.scandir(self._path(crash_id)) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if not entry.name.startswith(".")}
        except FileNotFoundError:  # removed by another process, perhaps while we looked
            return {}

    def size(self, crash_id: str) -> int:
        """The bytes of all files of a crash."""
        return sum(self.sizes(crash_id).values())

    def has_core(self, crash_id: str) -> bool:
        """Whether the core of a crash is kept."""
        return os.path.exists(self._path(crash_id, KEPT_CORE_FILE))

    def kept_core(self, crash_id: str) -> Path:
        """Where the compressed core of a crash is, if it was kept."""
        return self.directory(crash_id) / KEPT_CORE_FILE

    def _newest_first(self, same_second: list[str]) -> list[str]:
        """Orders crashes of one second, which their ids do not tell apart."""
        if len(same_second) == 1:
            return same_second
        return sorted(same_second, key=lambda crash_id: (_moment(self, crash_id), crash_id), reverse=True)

    @property
    def _seen(self) -> Path:
        return self.root / "seen"

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
            return record.read(self._path(crash_id, RECORD_FILE), kind, _LARGEST_RECORD)
        except record.Damaged as error:
            raise DamagedRecord(crash_id, error.message) from error

    def _path(self, crash_id: str, *name: str) -> str:
        """As `directory` / `name`, for thousands: pathlib takes as long as reading the record."""
        return os.path.join(self.root, "crashes", crash_id, *name)

    def _write_record(self, directory: Path, crash: "Crash") -> None:
        files.replace(directory / RECORD_FILE, record.text(crash), group=self.group)


@lru_cache(maxsize=4096)
def _moment(store: Store, crash_id: str) -> datetime:
    """A crash time never changes: in a crash loop the same ones are wanted again and again."""
    try:
        return store.outline(crash_id).crashed_at
    except DamagedRecord as error:
        return error.crashed_at


def second(crash_id: str) -> str:
    """The crash time that an id begins with."""
    return crash_id.partition("-")[0]
