"""Checks the store: what is wrong, what to do about it, and what can be repaired safely.

A repair never removes a text, a record or a kept core. It removes what a killed process left half made, and corrects
what follows from the rest of the store.
"""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import CRASH_ID, KEPT_CORE_FILE, LOG_FILE, RECORD_FILE, REPORT_FILE, CoreState, Crash, Section
from astbtd.store.captures import Captures
from astbtd.store.core_archive import Progress, verify_core
from astbtd.store.kept_objects import DIRECTORY as OBJECTS
from astbtd.store.kept_objects import UNKNOWN_FILE, KeptObjects
from astbtd.store.occurrence import renumber_after
from astbtd.store.staging_cleanup import find_leftovers
from astbtd.store.store import DamagedRecord, Store

_IDENTITY = re.compile(r"[0-9a-f]{32}")
_TEXTS = frozenset((REPORT_FILE, LOG_FILE, *Section))
_FILES = _TEXTS | {RECORD_FILE, KEPT_CORE_FILE}

SetCoreState = Callable[[str, CoreState], object]
"""Records the state of the core of the crash with this id, and what follows from it for the report."""


@dataclass(frozen=True)
class Finding:
    """A problem: where, what, what to do about it, and a function that repairs it if that is safe."""

    path: Path
    problem: str
    remedy: str
    repair: Callable[[], object] | None = None


@dataclass(frozen=True)
class StoreCheck:
    """A check of one store.

    `claimed` returns the ids of crashes that a daemon is going to process. `cores`: read kept cores to their ends, not
    only their beginnings.
    `write_report` writes the report of a crash into a directory. `set_core_state` records what became of a core.
    """

    store: Store
    claimed: Callable[[], Collection[str]]
    cores: bool
    progress: Progress
    write_report: Callable[[Crash, Path], None]
    set_core_state: SetCoreState

    def findings(self) -> Iterator[Finding]:
        """Yield the problems: of each crash, newest first, then of the whole store, then of the staging directory.

        Skip what others remove meanwhile. Raise AstbtdError if the store cannot be read.
        """
        sound = []
        crash_ids = self.store.ids()
        claimed = self.claimed()  # only now: a crash that was committed before and is not claimed does not change
        for crash_id in crash_ids:
            with suppress(FileNotFoundError):
                try:
                    crash = self.store.load(crash_id)
                except DamagedRecord as error:
                    yield self._damaged_record(crash_id, error)
                else:
                    sound.append(crash)
                    if crash_id not in claimed:
                        yield from self._check_crash(crash)
                yield from self._check_for_unknown_files(crash_id)
        yield from self._check_for_unknown_directories()
        yield from self._check_captures()
        yield from self._check_objects()
        yield from self._check_directories()
        yield from self._check_occurrences(sound)
        yield from self._check_latest()
        yield from self._check_identities(sound)
        yield from self._check_staging()

    def _damaged_record(self, crash_id: str, error: DamagedRecord) -> Finding:
        directory = self.store.directory(crash_id)
        others = sorted(name for name in os.listdir(directory) if name != RECORD_FILE)
        what_is_left = f"{', '.join(others)} can still be read there" if others else "there are no other files"
        return Finding(directory, error.message, f"{what_is_left}; remove the directory when you no longer need it")

    def _check_crash(self, crash: Crash) -> Iterator[Finding]:
        directory = self.store.directory(crash.id)
        if crash.id != directory.name:
            problem = f"its record is that of {crash.id}"
            yield Finding(directory, problem, "it was copied here: remove it, or move it back")
            return
        yield from self._check_temporary_files(directory)
        yield from self._check_permissions([directory, *sorted(directory.iterdir())])
        yield from self._check_texts(crash, directory)
        yield from self._check_core(crash)

    def _check_temporary_files(self, directory: Path) -> Iterator[Finding]:
        for entry in sorted(directory.glob(files.TEMPORARY_PATTERN)):
            yield Finding(entry, "it was being written when astbtd was killed", "removed", entry.unlink)

    def _check_texts(self, crash: Crash, directory: Path) -> Iterator[Finding]:
        if crash.texts_removed_at:
            left = self.store.sizes(crash.id).keys() & _TEXTS
            yield from (self._interrupted_removal(directory / name) for name in left)
            return
        report = directory / REPORT_FILE
        if not report.exists():
            yield Finding(report, "it is missing", "written again", partial(self.write_report, crash, directory))
        for name, size in crash.extraction.sections.items():
            path = directory / name
            if not path.exists():
                yield Finding(path, "it is missing", self._how_to_extract_again(crash))
            elif path.stat().st_size != size:
                problem = f"it has {path.stat().st_size} bytes instead of {size}"
                yield Finding(path, problem, self._how_to_extract_again(crash))

    def _how_to_extract_again(self, crash: Crash) -> str:
        if crash.core.state is not CoreState.KEPT:
            return "it cannot be restored: the core was not kept"
        return f"astbtd extract {crash.id}"

    def _check_core(self, crash: Crash) -> Iterator[Finding]:
        path = self.store.kept_core(crash.id)
        state = crash.core.state
        exists = path.exists()
        if exists and path.stat().st_size == 0:
            remedy = "removed" if state is CoreState.LOST else "recorded as lost"
            discard = partial(discard_empty_core, self.store, crash.id, self.set_core_state)
            yield Finding(path, "the kept core is empty", remedy, discard)
            return
        if state is CoreState.KEPT and not exists:
            record_lost = partial(self.set_core_state, crash.id, CoreState.LOST)
            yield Finding(path, "the kept core is missing", "recorded as lost", record_lost)
        elif state is CoreState.LOST and exists:
            record_kept = partial(self.set_core_state, crash.id, CoreState.KEPT)
            yield Finding(path, "it is recorded as lost, but exists", "recorded as kept", record_kept)
        elif state is CoreState.REMOVED and exists:
            yield self._interrupted_removal(path)
            return
        if _is_readable(path):
            yield from self._check_core_content(path)

    def _interrupted_removal(self, path: Path) -> Finding:
        return Finding(path, "retention was interrupted while it removed this", "removed", path.unlink)

    def _check_core_content(self, path: Path) -> Iterator[Finding]:
        try:
            verify_core(path, self.progress, whole=self.cores)
        except (AstbtdError, OSError) as error:
            yield Finding(path, str(error), "the texts of this crash are not affected; remove the core")

    def _check_for_unknown_files(self, crash_id: str) -> Iterator[Finding]:
        for entry in sorted(self.store.directory(crash_id).iterdir()):
            if entry.name not in _FILES and not entry.match(files.TEMPORARY_PATTERN):
                yield Finding(entry, UNKNOWN_FILE, "retention removes it with its crash")

    def _check_for_unknown_directories(self) -> Iterator[Finding]:
        for name in sorted(os.listdir(self.store.root / "crashes")):
            if not CRASH_ID.fullmatch(name):
                path = self.store.root / "crashes" / name
                yield Finding(path, "it is not a crash", "find out what it is, and remove it")

    def _check_captures(self) -> Iterator[Finding]:
        captures = Captures(self.store.root, self.store.group)
        for capture_id in captures.ids():
            directory = captures.directory(capture_id)
            with suppress(FileNotFoundError):
                yield from self._check_permissions([directory, *sorted(directory.iterdir())])
                try:
                    captures.load(capture_id)
                except AstbtdError as error:
                    yield Finding(directory, error.message, "remove the directory when you no longer need it")

    def _check_objects(self) -> Iterator[Finding]:
        objects = KeptObjects(self.store.root, self.store.group)
        for path in objects.entries():
            yield from self._check_permissions([path])
            if path.match(files.TEMPORARY_PATTERN):
                yield Finding(path, "it was being written when astbtd was killed", "removed", path.unlink)
                continue
            problem = objects.find_problem(path, self.progress, whole=self.cores)
            if problem == UNKNOWN_FILE:
                yield Finding(path, problem, "find out what it is, and remove it")
            elif problem and _is_readable(path):
                yield Finding(path, problem, "removed: an object is copied again when it is mapped", path.unlink)

    def _check_directories(self) -> Iterator[Finding]:
        root = self.store.root
        objects = root / OBJECTS
        directories = (root, root / "crashes", self.store.incoming, objects, *sorted(objects.glob("*")))
        yield from self._check_permissions(path for path in directories if path.exists())

    def _check_permissions(self, paths: Iterable[Path]) -> Iterator[Finding]:
        """Check who may read: the group for texts, root alone for cores and the staging directory."""
        for path in paths:
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                problem = "it is a symbolic link, which astbtd never makes here"
                yield Finding(path, problem, "find out what it is, and remove it")
                continue
            is_private = path.name == KEPT_CORE_FILE or path == self.store.incoming
            mode = stat.S_IMODE(status.st_mode)
            expected = _expected_mode(is_directory=stat.S_ISDIR(status.st_mode), is_private=is_private)
            if mode != expected:
                problem = f"its mode is {mode:04o} instead of {expected:04o}"
                yield Finding(path, problem, "mode corrected", partial(path.chmod, expected))
            yield from self._check_owner(path, status, -1 if is_private else self.store.group)

    def _check_owner(self, path: Path, status: os.stat_result, group: int) -> Iterator[Finding]:
        """Check the owner and group, if root runs the check. Another user can only have a private store."""
        if os.geteuid() != 0:
            return
        if status.st_uid != 0 or group not in (-1, status.st_gid):
            expected = f"0:{status.st_gid if group == -1 else group}"
            problem = f"it belongs to {status.st_uid}:{status.st_gid} instead of {expected}"
            repair = partial(os.chown, path, 0, group, follow_symlinks=False)
            yield Finding(path, problem, "owner and group corrected", repair)

    def _check_occurrences(self, newest_first: list[Crash]) -> Iterator[Finding]:
        """Check that the occurrence numbers of each signature increase with the crash time."""
        by_signature = defaultdict(list)
        for crash in reversed(newest_first):
            if crash.signature is not None:
                by_signature[crash.signature.id].append((crash, crash.signature.occurrence))
        for signature, crashes in sorted(by_signature.items()):
            if any(later <= earlier for (_, earlier), (_, later) in pairwise(crashes)):
                oldest, _ = crashes[0]
                path = self.store.directory(oldest.id)
                problem = f"the occurrence numbers of signature {signature} are wrong"
                yield Finding(path, problem, "renumbered", partial(renumber_after, self.store, oldest))

    def _check_latest(self) -> Iterator[Finding]:
        if not self.store.is_latest_correct:
            problem = "it does not point to the newest crash"
            yield Finding(self.store.root / "latest", problem, "link corrected", self.store.update_latest)

    def _check_identities(self, crashes: list[Crash]) -> Iterator[Finding]:
        collected = self.store.collected
        if collected.path.exists() and not _is_readable(collected.path):  # only root can read it
            return
        known = collected.all()
        invalid = [line for line in known if not _IDENTITY.fullmatch(line)]
        if invalid:
            problem = f"it has {pluralize(len(invalid), 'invalid line', 'invalid lines')}"
            yield Finding(collected.path, problem, "removed from it", partial(collected.discard, invalid))
        for crash in crashes:
            if crash.core.identity not in known:
                problem = f"the core of {crash.id} is not in it and might be collected again"
                yield Finding(collected.path, problem, "added", partial(collected.add, crash.core.identity))

    def _check_staging(self) -> Iterator[Finding]:
        if not _is_readable(self.store.incoming):
            return
        for entry in sorted(find_leftovers(self.store, self.claimed)):
            problem = "it was being made or removed when astbtd was killed"
            yield Finding(entry, problem, "removed", partial(files.remove, entry))


def find_empty_cores(store: Store) -> Iterator[str]:
    """Yield the ids of crashes whose kept core is an empty file, as a power cut may leave it. No record is read."""
    for crash_id in store.newest():
        with suppress(OSError):
            if os.stat(os.path.join(store.root, "crashes", crash_id, KEPT_CORE_FILE)).st_size == 0:
                yield crash_id


def discard_empty_core(store: Store, crash_id: str, set_core_state: SetCoreState) -> None:
    """Record the core of a crash as lost, then remove the empty file. Raise DamagedRecord, AstbtdError."""
    set_core_state(crash_id, CoreState.LOST)
    store.kept_core(crash_id).unlink()


def _expected_mode(*, is_directory: bool, is_private: bool) -> int:
    if is_directory:
        return files.PRIVATE_DIRECTORY_MODE if is_private else files.DIRECTORY_MODE
    return files.PRIVATE_FILE_MODE if is_private else files.FILE_MODE


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK, effective_ids=True)
