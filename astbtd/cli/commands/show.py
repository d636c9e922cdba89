"""`astbtd show`: the report of a crash or a capture, one of its sections, or where it is."""

import argparse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.cli.common import add_json, local, open_store, write, write_json
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE
from astbtd.model.record_summary import REPORT_FILE, Section
from astbtd.store.captures import Captures
from astbtd.store.id_lookup import capture_meant, resolve
from astbtd.store.store import DamagedRecord, Store

if TYPE_CHECKING:
    from astbtd.model.crash import Crash

SECTIONS = {
    file.split(".")[0]: file for file in (REPORT_FILE, *map(str, Section), BACKTRACE_FILE, FULL_FILE, LOCKS_FILE)
}
"""The names that `--section` takes, and their files; the last three are those of captures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="latest", help="which crash or capture (default: the newest crash)"
    )
    what = parser.add_mutually_exclusive_group()
    add_json(what)
    what.add_argument("--section", choices=SECTIONS, metavar="NAME", help=f"one section: {', '.join(SECTIONS)}")
    what.add_argument("--path", action="store_true", help="the directory with its files")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints what is asked for. Raises NothingMatched."""
    store = open_store(options)
    captures = Captures(store.root)
    if capture_id := capture_meant(store, captures, options.id):
        return _show_capture(captures, capture_id, options)
    crash_id = resolve(store, options.id)
    if options.json:
        write_json(store.load(crash_id))
    elif options.path:
        write(f"{store.directory(crash_id)}\n")
    elif options.section:
        write(_text(store, crash_id, SECTIONS[options.section]))
    else:
        write(_report(store, crash_id))
    return ExitCode.DONE


def _show_capture(captures: Captures, capture_id: str, options: argparse.Namespace) -> ExitCode:
    directory = captures.directory(capture_id)
    if options.json:
        write_json(captures.load(capture_id))
    elif options.path:
        write(f"{directory}\n")
    else:
        file = SECTIONS[options.section or "report"]
        try:
            write(_read(directory / file))
        except FileNotFoundError:
            there = ", ".join(sorted(entry.name for entry in directory.iterdir()))
            raise NothingMatched(f"capture {capture_id} has no {file}", f"it has {there}") from None
    return ExitCode.DONE


def _report(store: Store, crash_id: str) -> str:
    """The report, or its beginning where only the record is left; then what retention took, or may not take."""
    try:
        crash = store.load(crash_id)
    except DamagedRecord:
        return _text(store, crash_id, REPORT_FILE)
    report = _summary(crash) if crash.texts_removed_at else _text(store, crash_id, REPORT_FILE)
    return report + "".join(f"\n{line}\n" for line in _retained(crash))


def _summary(crash: "Crash") -> str:
    from astbtd.diagnosis.report import summary  # brings all of the diagnosis

    return f"{summary(crash)}\n"


def _retained(crash: "Crash") -> Iterator[str]:
    moments = {"core": crash.core.removed_at, "texts": crash.texts_removed_at}
    gone = [f"the {what} on {local(moment)}" for what, moment in moments.items() if moment]
    if gone:
        yield f"Removed: {', '.join(gone)}"
    if crash.pinned:
        yield "Pinned: retention takes nothing from it"


def _text(store: Store, crash_id: str, file: str) -> str:
    try:
        return _read(store.directory(crash_id) / file)
    except FileNotFoundError:
        raise _not_there(store, crash_id, file) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AstbtdError(f"{path}: {error.strerror}", "use sudo, or join the group: adduser USER astbtd") from error


def _not_there(store: Store, crash_id: str, file: str) -> NothingMatched:
    with suppress(DamagedRecord):
        if moment := store.outline(crash_id).texts_removed_at:
            removed = f"the texts of crash {crash_id} were removed on {local(moment)}"
            return NothingMatched(removed, f"`astbtd show {crash_id}` shows what is left")
    return NothingMatched(f"crash {crash_id} has no {file}", f"it has {', '.join(sorted(store.sizes(crash_id)))}")
