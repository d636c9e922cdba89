"""`astbtd show`: the report of a crash or a capture, one of its sections, its record, or its directory."""

import argparse
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.cli.common import (
    add_json,
    format_local_time,
    load_settings,
    open_store,
    warn,
    write_json,
    write_text,
)
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE
from astbtd.model.record_summary import LOG_FILE, REPORT_FILE, Section
from astbtd.store.captures import Captures
from astbtd.store.id_lookup import find_capture, resolve
from astbtd.store.store import DamagedRecord, RemovedCrash, Store

if TYPE_CHECKING:
    from astbtd.model.crash import Crash
    from astbtd.model.deadlock_capture import Deadlock
    from astbtd.model.surroundings import PbxState

_CAPTURE_FILES = (BACKTRACE_FILE, FULL_FILE, LOCKS_FILE)

SECTIONS = {Path(file).stem: file for file in (REPORT_FILE, LOG_FILE, *map(str, Section), *_CAPTURE_FILES)}
"""The names that `--section` accepts, and their files. The names of the files are accepted, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="latest", help="crash or capture (default: the newest crash)"
    )
    group = parser.add_mutually_exclusive_group()
    add_json(group)
    group.add_argument(
        "--section",
        choices=[*SECTIONS, *SECTIONS.values()],
        metavar="NAME",
        help=f"print one section: {', '.join(SECTIONS)} (or the name of its file, such as brief.txt)",
    )
    group.add_argument("--path", action="store_true", help="print the directory of its files")
    group.add_argument("--html", action="store_true", help="print the report as an HTML page, for a browser")


def run(options: argparse.Namespace) -> ExitCode:
    """Print what the options ask for. Raises NothingMatched."""
    store = open_store(options)
    captures = Captures(store.root)
    if capture_id := find_capture(store, captures, options.id):
        return _show_capture(captures, capture_id, options)
    if options.id == "latest":
        _warn_of_newer(store)
    try:
        _show_crash(store, resolve(store, options.id), options)
    except RemovedCrash:  # after it was chosen: choose again
        _show_crash(store, resolve(store, options.id), options)
    return ExitCode.DONE


def _warn_of_newer(store: Store) -> None:
    """Say that a newer crash is still being processed, as far as this user may know it."""
    from astbtd.cli import pending_crash  # imports all fields of a record

    newest = pending_crash.find_newest(store)
    if newest:
        warn([f"crash {newest} is newer, and is still being processed"])


def _show_crash(store: Store, crash_id: str, options: argparse.Namespace) -> None:
    if options.json:
        write_json(store.load(crash_id))
    elif options.path:
        write_text(f"{store.directory(crash_id)}\n")
    elif options.html:
        crash = store.load(crash_id)
        _write_page(replace(crash, pbx=_observe_now(crash, store, options) or crash.pbx), store.directory(crash_id))
    elif options.section:
        write_text(_read_crash_file(store, crash_id, _section_file(options.section)))
    else:
        write_text(_report(store, crash_id, options))


def _section_file(name: str) -> str:
    return SECTIONS.get(name, name)


def _show_capture(captures: Captures, capture_id: str, options: argparse.Namespace) -> ExitCode:
    directory = captures.directory(capture_id)
    if options.json:
        write_json(captures.load(capture_id))
    elif options.path:
        write_text(f"{directory}\n")
    elif options.html:
        _write_page(captures.load(capture_id), directory)
    else:
        file = _section_file(options.section or "report")
        try:
            write_text(_read(directory / file))
        except FileNotFoundError:
            present = ", ".join(sorted(entry.name for entry in directory.iterdir()))
            raise NothingMatched(f"capture {capture_id} has no {file}", f"its files are {present}") from None
    return ExitCode.DONE


def _write_page(record: "Crash | Deadlock", directory: Path) -> None:
    from astbtd.html.report_page import page_files, render_page  # imports the whole diagnosis

    texts = {}
    for name in page_files(record):
        with suppress(FileNotFoundError):
            texts[name] = _read(directory / name)
    write_text(render_page(record, texts))


def _report(store: Store, crash_id: str, options: argparse.Namespace) -> str:
    """Return the report, followed by what retention has removed. Without its texts, only the summary is left.

    The summary is written again, because it says whether Asterisk is running now.
    """
    try:
        crash = store.load(crash_id)
    except DamagedRecord:
        return _read_crash_file(store, crash_id, REPORT_FILE)
    if crash.texts_removed_at:
        report = _summary(crash)
    else:
        report = _read_crash_file(store, crash_id, REPORT_FILE)
        if now := _observe_now(crash, store, options):
            _, _, rest = report.partition("\n\n")
            report = f"{_summary(replace(crash, pbx=now))}\n{rest}"
    return report + "".join(f"\n{line}\n" for line in _retention_lines(crash))


def _observe_now(crash: "Crash", store: Store, options: argparse.Namespace) -> "PbxState | None":
    """Return whether Asterisk is running now; None if the crash, or its report, is not of this machine and version."""
    if crash.pbx is None or crash.host != platform.node():
        return None
    from astbtd.asterisk.identity import find_identity
    from astbtd.pipeline import pbx_state  # imports much that other uses of this verb do not need

    try:
        settings = load_settings(options)
    except AstbtdError:
        return None
    identity = find_identity(settings.asterisk)
    return pbx_state.observe_pbx(settings.asterisk.executables, identity, store)


def _summary(crash: "Crash") -> str:
    from astbtd.diagnosis.report_summary import summary  # imports the whole diagnosis

    return f"{summary(crash)}\n"


def _retention_lines(crash: "Crash") -> Iterator[str]:
    removals = {"core": crash.core.removed_at, "texts": crash.texts_removed_at}
    removed = [f"the {part} on {format_local_time(moment)}" for part, moment in removals.items() if moment]
    if removed:
        yield f"Removed: {', '.join(removed)}"
    if crash.pinned:
        yield "Pinned: exempt from retention"


def _read_crash_file(store: Store, crash_id: str, file: str) -> str:
    try:
        return _read(store.directory(crash_id) / file)
    except FileNotFoundError:
        raise _missing_file_error(store, crash_id, file) from None


def _read(path: Path) -> str:
    """Return the text of a file. Raises FileNotFoundError, AstbtdError."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AstbtdError(f"{path}: {error.strerror}", "use sudo, or join the group: adduser USER astbtd") from error


def _missing_file_error(store: Store, crash_id: str, file: str) -> NothingMatched:
    """Return the error for a file that a crash does not have. Raise RemovedCrash if the crash is gone."""
    try:
        moment = store.load_summary(crash_id).texts_removed_at
    except RemovedCrash:
        raise
    except DamagedRecord:
        moment = None
    if moment:
        message = f"the texts of crash {crash_id} were removed on {format_local_time(moment)}"
        return NothingMatched(message, f"`astbtd show {crash_id}` prints what is left")
    present = ", ".join(sorted(store.sizes(crash_id)))
    return NothingMatched(f"crash {crash_id} has no {file}", f"its files are {present}")
