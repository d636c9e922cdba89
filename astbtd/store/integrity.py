"""Examines the store: what is wrong in it, what to do about it, and what of that can be done without asking.

A repair never removes a text, a record or a kept core; it removes what a kill left half made, and puts right what the
rest of the store tells.
"""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.quantities import counted
from astbtd.model.crash import CRASH_ID, KEPT_CORE_FILE, RECORD_FILE, REPORT_FILE, CoreState, Crash, Section
from astbtd.store.captures import Captures
from astbtd.store.core_archive import Progress, verify
from astbtd.store.occurrence import renumber_after
from astbtd.store.staging_cleanup import left_behind
from astbtd.store.store import DamagedRecord, Store

_IDENTITY = re.compile(r"[0-9a-f]{32}")
_TEXTS = frozenset((REPORT_FILE, *Section))
_FILES = _TEXTS | {RECORD_FILE, KEPT_CORE_FILE}


@dataclass(frozen=True)
class Finding:
    """Something wrong: where, what it is, what is done or to be done, and how it is done where that is safe."""

    path: Path
    problem: str
    remedy: str
    repair: Callable[[], None] | None = None


@dataclass(frozen=True)
class StoreCheck:
    """How a store is examined. `claimed` lists the crashes that a daemon will go on with, `cores` says whether kept
    cores are read to their ends, `write_report` makes a crash's report anew in a directory.
    """

    store: Store
    claimed: Callable[[], Collection[str]]
    cores: bool
    progress: Progress
    write_report: Callable[[Crash, Path], None]

    def findings(self) -> Iterator[Finding]:
        """What is wrong: crash by crash, the newest first, then what is made of all of them, then staging.

        What others remove meanwhile is passed over. Raises AstbtdError where the store cannot be read.
        """
        sound = []
        crash_ids = self.store.ids()
        claimed = self.claimed()  # only now: what was committed before and is not claimed, nobody works on
        for crash_id in crash_ids:
            with suppress(FileNotFoundError):
                try:
                    sound.append(self.store.load(crash_id))
                except DamagedRecord as error:
                    yield self._damaged(crash_id, error)
                else:
                    yield from self._crash(sound[-1]) if crash_id not in claimed else ()
                yield from self._strangers_in(crash_id)
        yield from self._strangers()
        yield from self._captures()
        yield from self._modes()
        yield from self._numbers(sound)
        yield from self._latest()
        yield from self._seen(sound)
        yield from self._staging()

    def _staging(self) -> Iterator[Finding]:
        if not _may_read(self.store.incoming):
            return
        for entry in sorted(left_behind(self.store, self.claimed)):
            problem = "it was being made, or removed, when astbtd was killed"
            yield Finding(entry, problem, "removed", partial(files.remove, entry))

    def _damaged(self, crash_id: str, error: DamagedRecord) -> Finding:
        directory = self.store.directory(crash_id)
        texts = sorted(name for name in os.listdir(directory) if name != RECORD_FILE)
        there = f"{', '.join(texts)} can still be read there" if texts else "nothing else is there either"
        return Finding(directory, error.message, f"{there}; remove the directory when you need it no longer")

    def _crash(self, crash: Crash) -> Iterator[Finding]:
        directory = self.store.directory(crash.id)
        if crash.id != directory.name:
            problem = f"its record is that of {crash.id}"
            yield Finding(directory, problem, "somebody copied it here: remove it, or put it back in its place")
            return
        yield from self._unfinished(directory)
        yield from self._permissions([directory, *sorted(directory.iterdir())])
        yield from self._texts(crash, directory)
        yield from self._core(crash)

    def _unfinished(self, directory: Path) -> Iterator[Finding]:
        for entry in sorted(directory.glob(files.UNFINISHED)):
            yield Finding(entry, "it was being written when astbtd was killed", "removed", entry.unlink)

    def _captures(self) -> Iterator[Finding]:
        captures = Captures(self.store.root, self.store.group)
        for capture_id in captures.ids():
            directory = captures.directory(capture_id)
            with suppress(FileNotFoundError):
                yield from self._permissions([directory, *sorted(directory.iterdir())])
                try:
                    captures.load(capture_id)
                except AstbtdError as error:
                    yield Finding(directory, error.message, "remove the directory when you need it no longer")

    def _modes(self) -> Iterator[Finding]:
        root = self.store.root
        yield from self._permissions(path for path in (root, root / "crashes", self.store.incoming) if path.exists())

    def _permissions(self, paths: Iterable[Path]) -> Iterator[Finding]:
        """Who may read: group for the texts, root alone for cores and staging."""
        for path in paths:
            status = path.lstat()
            private = path.name == KEPT_CORE_FILE or path == self.store.incoming
            if stat.S_ISLNK(status.st_mode):
                yield Finding(path, "it is a symbolic link, which astbtd never makes here", "see what it is; remove it")
                continue
            wanted = _mode(directory=stat.S_ISDIR(status.st_mode), private=private)
            if stat.S_IMODE(status.st_mode) != wanted:
                problem = f"its mode is {stat.S_IMODE(status.st_mode):04o} in place of {wanted:04o}"
                yield Finding(path, problem, "mode put right", partial(path.chmod, wanted))
            yield from self._owner(path, status, -1 if private else self.store.group)

    def _owner(self, path: Path, status: os.stat_result, group: int) -> Iterator[Finding]:
        """Only root's store belongs to anyone in particular."""
        if os.geteuid() == 0 and (status.st_uid != 0 or group not in (-1, status.st_gid)):
            wanted = f"0:{status.st_gid if group == -1 else group}"
            problem = f"it belongs to {status.st_uid}:{status.st_gid} in place of {wanted}"
            repair = partial(os.chown, path, 0, group, follow_symlinks=False)
            yield Finding(path, problem, "owner and group put right", repair)

    def _texts(self, crash: Crash, directory: Path) -> Iterator[Finding]:
        if crash.texts_removed_at:
            yield from (self._leftover(directory / name) for name in self.store.sizes(crash.id).keys() & _TEXTS)
            return
        report = directory / REPORT_FILE
        if not report.exists():
            yield Finding(report, "it is missing", "made anew", partial(self.write_report, crash, directory))
        for name, size in crash.extraction.sections.items():
            path = directory / name
            if not path.exists():
                yield Finding(path, "it is missing", self._extract_again(crash))
            elif path.stat().st_size != size:
                problem = f"it has {path.stat().st_size} bytes, the record says {size}"
                yield Finding(path, problem, self._extract_again(crash))

    def _extract_again(self, crash: Crash) -> str:
        if crash.core.state is not CoreState.KEPT:
            return "nothing can bring it back: the core was not kept"
        return f"astbtd core {crash.id} --output CORE; astbtd extract --output DIRECTORY CORE"

    def _core(self, crash: Crash) -> Iterator[Finding]:
        path = self.store.kept_core(crash.id)
        if crash.core.state is CoreState.KEPT and not path.exists():
            repair = partial(self._say, crash.id, CoreState.LOST)
            yield Finding(path, "the kept core is missing", "the record now says that it is lost", repair)
        elif path.exists() and crash.core.state is CoreState.LOST:
            repair = partial(self._say, crash.id, CoreState.KEPT)
            yield Finding(path, "the record says that it is lost", "the record now says that it is kept", repair)
        elif path.exists() and crash.core.state is CoreState.REMOVED:
            yield self._leftover(path)
            return
        if self.cores and _may_read(path):
            yield from self._content(path)

    def _leftover(self, path: Path) -> Finding:
        return Finding(path, "retention was interrupted while it removed this", "removed", path.unlink)

    def _say(self, crash_id: str, state: CoreState) -> None:
        self.store.change(crash_id, lambda crash: replace(crash, core=replace(crash.core, state=state)))

    def _content(self, path: Path) -> Iterator[Finding]:
        try:
            verify(path, self.progress)
        except (AstbtdError, OSError) as error:
            yield Finding(path, str(error), "the texts of this crash are not affected; remove the core")

    def _strangers_in(self, crash_id: str) -> Iterator[Finding]:
        for entry in sorted(self.store.directory(crash_id).iterdir()):
            if entry.name not in _FILES and not entry.match(files.UNFINISHED):
                yield Finding(entry, "astbtd makes no such file", "retention removes it with its crash")

    def _strangers(self) -> Iterator[Finding]:
        for name in sorted(os.listdir(self.store.root / "crashes")):
            if not CRASH_ID.fullmatch(name):
                yield Finding(self.store.root / "crashes" / name, "it is no crash", "see what it is, and remove it")

    def _numbers(self, newest_first: list[Crash]) -> Iterator[Finding]:
        """Occurrences follow the crash time."""
        by_signature = sorted(newest_first, key=lambda crash: crash.signature.id)
        for signature, kin in groupby(by_signature, key=lambda crash: crash.signature.id):
            crashes = list(kin)[::-1]
            numbers = [crash.signature.occurrence for crash in crashes]
            if any(later <= earlier for earlier, later in pairwise(numbers)):
                repair = partial(renumber_after, self.store, crashes[0])
                path = self.store.directory(crashes[0].id)
                yield Finding(path, f"the crashes of signature {signature} are misnumbered", "numbered anew", repair)

    def _latest(self) -> Iterator[Finding]:
        if not self.store.latest_is_right:
            repair = self.store.point_latest
            yield Finding(self.store.root / "latest", "it does not lead to the newest crash", "it does now", repair)

    def _seen(self, crashes: list[Crash]) -> Iterator[Finding]:
        path = self.store.root / "seen"
        if path.exists() and not _may_read(path):  # by root only
            return
        known = self.store.seen()
        if junk := [each for each in known if not _IDENTITY.fullmatch(each)]:
            problem = f"{counted(len(junk), 'entry in it is', 'entries in it are')} no identity of a core"
            yield Finding(path, problem, "taken out", partial(self.store.forget_seen, junk))
        for crash in crashes:
            if crash.core.identity not in known:
                problem = f"the core of {crash.id} is not in it and might be collected again"
                yield Finding(path, problem, "added", partial(self.store.mark_seen, crash.core.identity))


def _mode(*, directory: bool, private: bool) -> int:
    if directory:
        return files.PRIVATE_DIRECTORY_MODE if private else files.DIRECTORY_MODE
    return files.PRIVATE_FILE_MODE if private else files.FILE_MODE


def _may_read(path: Path) -> bool:
    return os.access(path, os.R_OK, effective_ids=True)
