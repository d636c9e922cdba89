"""Examine files of other users within limits, so that no file stops the daemon, now or at every start.

Each file has a budget, and so have all files of one owner together between two scans. While a file is examined, a note
of it is in the store: a file whose examination ended the daemon twice is not examined any more.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from astbtd.elf.core_notes import file_identity
from astbtd.lib import files, json_file
from astbtd.lib.quantities import format_size
from astbtd.lib.read_budget import BudgetExceeded, ReadBudget

SUFFIX = ".examined"
"""The name of a note is the identity of the file and this suffix."""

MAX_DEATHS = 2
"""How often the daemon may end while it examines a file before the file is skipped."""

SKIPPED_BECAUSE = f"the daemon has ended {MAX_DEATHS} times while it examined this file"
"""Why a file is skipped."""

_FILE_BYTES = 192 << 20  # a core with 5,000 threads has 64 MiB of notes, which are the largest part of what is read
_FILE_SECONDS = 5.0  # of processor time; a core with 421 objects takes 0.005 s
# For all files of one owner until the next full scan. The cores of the PBX's users are not charged.
_OWNER_BYTES = 2 << 30  # of other users
_OWNER_SECONDS = 20.0  # of processor time
_MAX_NOTE_BYTES = 1 << 16


class NotExamined(Exception):
    """A file is not examined, with a reason for people. `later`: it will be, after the next full scan."""

    def __init__(self, reason: str, *, later: bool) -> None:
        super().__init__(reason)
        self.later = later


@dataclass
class Examination:
    """The examination of one file. `found_core`: it is a core of Asterisk."""

    budget: ReadBudget
    found_core: bool = False


@dataclass(frozen=True)
class ExaminationNote:
    """A file that is being examined, or was when the daemon ended. `deaths` counts how often that happened."""

    path: str
    deaths: int = 0
    is_examined: bool = True


@dataclass
class ExaminationNotes:
    """The notes in the directory `incoming`; without one, nothing is noted. `recover` reads those of a dead daemon."""

    incoming: Path | None = None
    _deaths: dict[str, int] = field(default_factory=dict, init=False)

    def recover(self, is_local: Callable[[str], bool]) -> list[ExaminationNote]:
        """Count a death for each file that was being examined when the daemon ended. Return what is skipped now.

        Forget files that are gone or have changed, as far as `is_local` says that their directory always responds.
        Raises OSError if that cannot be recorded.
        """
        for path, note in self.all().items():
            identity = path.name.removesuffix(SUFFIX)
            if is_local(os.path.dirname(note.path)) and not _is_unchanged(note.path, identity):
                path.unlink(missing_ok=True)
                continue
            counted = ExaminationNote(note.path, note.deaths + note.is_examined, is_examined=False)
            if counted != note:
                json_file.replace(path, counted)
            self._deaths[identity] = counted.deaths
        return self.skipped()

    def skipped(self) -> list[ExaminationNote]:
        """Return the files that are not examined any more."""
        return [note for note in self.all().values() if note.deaths >= MAX_DEATHS and not note.is_examined]

    def all(self) -> dict[Path, ExaminationNote]:
        """Return all notes that can be read, by their paths."""
        notes = {}
        for path in sorted(self.incoming.glob(f"*{SUFFIX}")) if self.incoming else ():
            with suppress(OSError, ValueError):
                notes[path] = _read(path)
        return notes

    def has_ended_daemon(self, status: os.stat_result) -> bool:
        """Return whether the examination of the file with this status has ended the daemon too often."""
        return self._deaths.get(file_identity(status), 0) >= MAX_DEATHS

    @contextmanager
    def noted(self, path: str, status: os.stat_result) -> Iterator[None]:
        """Have a note of this file on disk during the block. If there is no space for it, go on without.

        It is not synced: it has to survive the end of this process, not that of the machine. It stays if an unexpected
        error leaves the block, since that ends the daemon.
        """
        if self.incoming is None:
            yield
            return
        identity = file_identity(status)
        note = self.incoming / f"{identity}{SUFFIX}"
        with suppress(OSError):
            self._write(note, ExaminationNote(path, self._deaths.get(identity, 0)))
        try:
            yield
        except (OSError, BudgetExceeded):  # the daemon goes on after these
            _remove(note)
            raise
        _remove(note)

    def _write(self, path: Path, note: ExaminationNote) -> None:
        if note.deaths:
            json_file.replace(path, note)
            return
        descriptor = files.create(path, files.PRIVATE_FILE_MODE)
        try:
            files.write_all(descriptor, json_file.encode(note))
        finally:
            os.close(descriptor)


class Examinations:
    """The examinations of one thread: their limits, and the notes about them.

    `may_dump` returns whether a user may run the PBX: then cores of Asterisk are free of charge, and so are bytes.
    """

    def __init__(self, notes: ExaminationNotes | None = None, may_dump: Callable[[int], bool] = lambda _: True) -> None:
        self.notes = notes or ExaminationNotes()
        self._may_dump = may_dump
        self._seconds: defaultdict[int, float] = defaultdict(float)  # by owner
        self._bytes: defaultdict[int, int] = defaultdict(int)

    def renew_budgets(self) -> None:
        """Give each owner a new budget: a scan of all files begins."""
        self._seconds.clear()
        self._bytes.clear()

    @contextmanager
    def examined(self, path: str, status: os.stat_result) -> Iterator[Examination]:
        """Give the budget for a file during the block. Raises NotExamined before it."""
        if self.notes.has_ended_daemon(status):
            raise NotExamined(SKIPPED_BECAUSE, later=False)
        self._check_owner(status.st_uid)
        examination = Examination(ReadBudget(_FILE_BYTES, _FILE_SECONDS))
        with self.notes.noted(path, status):
            try:
                yield examination
            finally:
                self._charge(status.st_uid, examination)

    def _check_owner(self, uid: int) -> None:
        """Raise NotExamined if the budget of an owner is used up."""
        used = None
        if self._seconds[uid] > _OWNER_SECONDS:
            used = f"taken more than {_OWNER_SECONDS:g} s"
        elif self._bytes[uid] > _OWNER_BYTES and not self._may_dump(uid):
            used = f"made astbtd read more than {format_size(_OWNER_BYTES)}"
        if used:
            raise NotExamined(f"its owner's files have {used}: it waits for the next full scan", later=True)

    def _charge(self, uid: int, examination: Examination) -> None:
        if not (examination.found_core and self._may_dump(uid)):
            self._seconds[uid] += examination.budget.seconds_used
            self._bytes[uid] += examination.budget.bytes_read


def _remove(note: Path) -> None:
    with suppress(OSError):
        note.unlink()


def _is_unchanged(path: str, identity: str) -> bool:
    try:
        return file_identity(os.lstat(path)) == identity
    except OSError:
        return False


def _read(path: Path) -> ExaminationNote:
    """Read a note. Raises OSError, ValueError."""
    with path.open("rb") as file:
        return json_file.decode(file.read(_MAX_NOTE_BYTES), ExaminationNote)
