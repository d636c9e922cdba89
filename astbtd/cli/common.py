"""What the verbs share: loading settings, opening the store, printing text, JSON, warnings and progress."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.cli.terminal import write_controls
from astbtd.errors import AstbtdError, BadConfiguration, NothingMatched
from astbtd.lib import files, path_walk
from astbtd.lib.escaping import printable_line
from astbtd.lib.serialization import json_text
from astbtd.store import store_schema
from astbtd.store.record import RecordSummary
from astbtd.store.store import DamagedRecord, RemovedCrash, Store

if TYPE_CHECKING:
    from astbtd.settings import Settings

_RED, _YELLOW, _GREEN, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
_COLOURS = {
    "usable": _GREEN,
    "partial": _YELLOW,
    "unusable": _RED,
    "ok": _GREEN,
    "warning": _YELLOW,
    "failed": _RED,
    "unknown": _YELLOW,
}
_PROGRESS_DELAY = 1.0  # seconds; shorter work shows no progress
_PROGRESS_INTERVAL = 0.2  # seconds


def add_json(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """Add --json, the option of every verb that reads."""
    parser.add_argument("--json", action="store_true", help="print JSON, documented in astbtd.json(5)")


def load_settings(options: argparse.Namespace) -> "Settings":
    """Load the configuration that the command line names. Raises BadConfiguration."""
    from astbtd import settings  # not needed where --store is given

    loaded = settings.load(options.config)
    return replace(loaded, store=os.path.abspath(options.store)) if options.store else loaded


def default_store() -> str:
    """Return the directory of the store that is used if no configuration names another one."""
    from astbtd.settings import Settings

    return Settings().store


def load_summaries(store: Store, ids: Iterable[str]) -> Iterator[RecordSummary]:
    """Yield the summaries of crashes. Print a warning for each damaged record. Skip crashes that are removed."""
    for crash_id in ids:
        try:
            yield store.load_summary(crash_id)
        except RemovedCrash:
            continue
        except DamagedRecord as error:
            warn([error.message])


def open_store(options: argparse.Namespace) -> Store:
    """Open the store for reading.

    With --store, the configuration is not read. If it is invalid, warn and use the default store: crashes must be
    readable while somebody corrects it.
    """
    try:
        return _open_configured_store(options)
    except BadConfiguration as error:
        default = default_store()
        warn([*error.message.split("\n"), f"using the default store {default}; to read another one, give --store"])
        return Store(Path(default))


def _open_configured_store(options: argparse.Namespace) -> Store:
    return Store(Path(os.path.realpath(options.store or load_settings(options).store)))


def open_store_for_writing(options: argparse.Namespace) -> Store:
    """Open the store for changes of records. Changed records keep their group, so that its members can read them.

    Raise AstbtdError if a newer version of astbtd has used the store.
    """
    from astbtd.pipeline.configured_extractor import reader_group  # imports all that extracts a core

    store = Store(_open_configured_store(options).root, reader_group())
    path_walk.refuse_exchangeable(store.root)
    store_schema.refuse_newer(store.root)
    return store


def find_kept_core(store: Store, crash_id: str) -> Path:
    """Return the path of the kept core. Raise NothingMatched if there is none, AstbtdError if we may not read it."""
    kept = store.kept_core(crash_id)
    if not kept.exists():
        core = store.load(crash_id).core
        when = f" on {format_local_time(core.removed_at)}" if core.removed_at else ""
        reason = f"it was {core.state}{when}"
        raise NothingMatched(
            f"the core of crash {crash_id} is not in the store: {reason}", f"its original path: {core.path}"
        )
    if not os.access(kept, os.R_OK, effective_ids=True):
        raise AstbtdError(
            f"permission denied reading {kept}: cores contain passwords, only root can read them", "use sudo"
        )
    return kept


def write_text(text: str) -> None:
    """Print text for people; `terminal.py` escapes it."""
    sys.stdout.write(text)


def write_row(text: str) -> None:
    """Print a line that may be coloured. The caller must pass untrusted parts of it through `printable_line`."""
    write_controls(sys.stdout, text)


def write_json(value: object) -> None:
    """Print one JSON document, indented. On a terminal, it is ASCII."""
    sys.stdout.write(json_text(value, indent=2, ascii_only=sys.stdout.isatty()) + "\n")


def write_json_line(value: object) -> None:
    """Print one JSON document on one line. On a terminal, it is ASCII."""
    sys.stdout.write(json_text(value, ascii_only=sys.stdout.isatty()) + "\n")


@contextmanager
def create_private_file(path: Path) -> Iterator[int]:
    """Create a file that only its owner can read, and yield a descriptor to write to it.

    Removes the file if the block raises. Raises AstbtdError; an existing file is not overwritten.
    """
    with files.wrap_os_error(f"cannot write {path}"), path_walk.opened_directory(path.parent) as directory:
        descriptor = path_walk.create_file(directory, path.name)
        try:
            yield descriptor
        except BaseException:
            path_walk.remove_file(directory, path.name, descriptor)
            raise
        finally:
            os.close(descriptor)


def colorize(word: str, width: int) -> str:
    """Pad a verdict or the state of a check, and colour it if standard output is a terminal that allows it."""
    padded = f"{word:<{width}}"
    disabled = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if word not in _COLOURS or disabled or not sys.stdout.isatty():
        return padded
    return f"{_COLOURS[word]}{padded}{_RESET}"


def format_local_time(moment: datetime) -> str:
    """Format a time in the local zone, as `systemctl` and `coredumpctl` do."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z}"


def warn(lines: Iterable[str]) -> None:
    """Print warnings to standard error."""
    for line in lines:
        sys.stderr.write(f"astbtd: {line}\n")


class Progress:
    """Shows on a terminal how far long work is. Prints nothing elsewhere, and nothing for short work."""

    def __init__(self, activity: str) -> None:
        self._activity = activity
        self._started = time.monotonic()
        self._next_update = self._started + _PROGRESS_DELAY
        self._visible = False

    def __call__(self, done: int) -> None:
        """Show the number of bytes that are done."""
        from astbtd.lib.quantities import format_size  # not needed by the quick commands

        self._show(format_size(done))

    def tick(self) -> None:
        """Show the elapsed time, where the total amount of work is unknown."""
        self._show(f"{time.monotonic() - self._started:.0f}s")

    def show_count(self, done: int, total: int) -> None:
        """Show how many items are done."""
        self._show(f"{done} of {total}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line."""
        if self._visible:
            write_controls(sys.stderr, "\r\x1b[K")
            self._visible = False

    def _show(self, state: str) -> None:
        if sys.stderr.isatty() and time.monotonic() >= self._next_update:
            write_controls(sys.stderr, f"\r{printable_line(self._activity)}: {printable_line(state)} ")
            self._next_update = time.monotonic() + _PROGRESS_INTERVAL
            self._visible = True
