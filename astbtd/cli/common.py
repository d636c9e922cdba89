"""What the verbs share: the settings and the store they work on, and how they write."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.lib import files
from astbtd.lib.escaping import printable
from astbtd.lib.serialization import plain
from astbtd.store.outline import RecordSummary
from astbtd.store.store import DamagedRecord, Store

if TYPE_CHECKING:
    from astbtd.settings import Settings

_RED, _YELLOW, _GREEN, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
_COLOURS = {
    "usable": _GREEN,
    "partial": _YELLOW,
    "unusable": _RED,
    "ok": _GREEN,
    "warning": _YELLOW,
    "failed": _RED,
    "unknown": _YELLOW,
}
_PROGRESS_AFTER = 1.0  # seconds; shorter work needs no progress
_PROGRESS_EVERY = 0.2


def add_json(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """The option of every verb that reads."""
    parser.add_argument("--json", action="store_true", help="print JSON, as documented in the manual")


def load_settings(options: argparse.Namespace) -> "Settings":
    """The configuration that the command line names. Raises BadConfiguration."""
    from astbtd import settings  # not needed where the store is given

    loaded = settings.load(options.config)
    return replace(loaded, store=os.path.abspath(options.store)) if options.store else loaded


def readable(store: Store) -> Iterator[RecordSummary]:
    """All crashes in short, newest first; says which records are damaged."""
    for crash_id in store.newest():
        try:
            yield store.outline(crash_id)
        except DamagedRecord as error:
            warn([error.message])


def open_store(options: argparse.Namespace) -> Store:
    """The store, to read from; where it is given, a broken configuration does not matter."""
    return Store(options.store.absolute() if options.store else Path(load_settings(options).store))


def open_store_to_change(options: argparse.Namespace) -> Store:
    """The store, to change records in, which stay readable for whom they were."""
    from astbtd.pipeline.components import readers  # brings all that processes a core

    return Store(open_store(options).root, readers())


def write(text: str) -> None:
    """Prints text for people; what a core may have smuggled in cannot steer the terminal."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def write_row(text: str) -> None:
    """Prints a line that may be coloured: what in it comes from elsewhere has been through `printable_line`."""
    sys.stdout.write(text)


def write_json(value: object) -> None:
    """Prints one JSON document."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """A descriptor, open for writing, of a new file for its owner only; of one that was not completed nothing is left.

    Raises AstbtdError; a file that exists is not overwritten.
    """
    with files.said_plainly(f"cannot write {path}"):
        descriptor = files.create(path, files.PRIVATE_FILE_MODE)
        try:
            yield descriptor
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def coloured(word: str, width: int) -> str:
    """A verdict or the state of a check, padded, in colour where the output is a terminal that wants colour."""
    padded = f"{word:<{width}}"
    dumb = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    wanted = sys.stdout.isatty() and not dumb
    return f"{_COLOURS[word]}{padded}{_PLAIN}" if wanted and word in _COLOURS else padded


def local(moment: datetime) -> str:
    """A time as `systemctl` and `coredumpctl` show it, in the zone of the reader."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z}"


def warn(lines: Iterable[str]) -> None:
    """Prints warnings on standard error."""
    for line in lines:
        sys.stderr.write(f"astbtd: {line}\n")


class Progress:
    """Shows on a terminal how far long work is; silent elsewhere and for short work."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = time.monotonic()
        self._next = self._started + _PROGRESS_AFTER
        self._shown = False

    def __call__(self, done: int) -> None:
        """Tells that `done` bytes are done."""
        from astbtd.lib.quantities import shown_size  # not needed by the quick commands

        self._show(shown_size(done))

    def tick(self) -> None:
        """Tells that the work goes on; how much of it there is, nobody knows."""
        self._show(f"{time.monotonic() - self._started:.0f}s")

    def so_many(self, done: int, total: int) -> None:
        """Tells how many are done."""
        self._show(f"{done} of {total}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        """Clears the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = False

    def _show(self, how_far: str) -> None:
        if sys.stderr.isatty() and time.monotonic() >= self._next:
            sys.stderr.write(f"\r{self._what}: {how_far} ")
            self._next = time.monotonic() + _PROGRESS_EVERY
            self._shown = True
