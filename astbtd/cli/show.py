"""`astbtd show`: one crash's report, one of its sections, or where it is."""

import argparse

from astbtd.archive.store import Store
from astbtd.cli.common import add_json, open_store, write, write_json
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.model import REPORT_FILE, Section

SECTIONS = {"report": REPORT_FILE, **{section.value.split(".")[0]: section.value for section in Section}}
"""The names that `--section` takes, and their files."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("id", metavar="ID", nargs="?", default="latest", help="which crash (default: the newest)")
    what = parser.add_mutually_exclusive_group()
    add_json(what)
    what.add_argument("--section", choices=SECTIONS, metavar="NAME", help=f"one section: {', '.join(SECTIONS)}")
    what.add_argument("--path", action="store_true", help="the directory with the crash's files")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints what is asked for. Raises NothingMatched."""
    store = open_store(options)
    crash_id = store.resolve(options.id)
    if options.json:
        write_json(store.load(crash_id))
    elif options.path:
        write(f"{store.directory(crash_id)}\n")
    else:
        write(_text(store, crash_id, SECTIONS[options.section or "report"]))
    return ExitCode.DONE


def _text(store: Store, crash_id: str, file: str) -> str:
    path = store.directory(crash_id) / file
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        there = sorted(entry.name for entry in store.directory(crash_id).iterdir())
        raise NothingMatched(f"crash {crash_id} has no {file}", f"it has {', '.join(there)}") from None
    except OSError as error:
        raise AstbtdError(f"{path}: {error.strerror}", "use sudo, or join the group: adduser USER astbtd") from error
