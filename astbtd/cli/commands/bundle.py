"""`astbtd bundle`: packs the texts of crashes and captures into one file for an issue tracker, without cores."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from astbtd.cli.common import Progress, create_private_file, open_store, warn, write_text
from astbtd.errors import ExitCode, UsageError
from astbtd.lib.quantities import pluralize
from astbtd.store.captures import Captures
from astbtd.store.id_lookup import find_capture, resolve
from astbtd.store.issue_bundle import BundleItem, PageMaker, write_bundle
from astbtd.store.redaction.placeholders import Kind
from astbtd.store.redaction.redactor import Redactor
from astbtd.store.store import Store

_REVIEW = "review the bundle before you publish it: it can still contain private data that the rules do not recognise"

_PLURALS = {kind: f"{kind}es" if kind is Kind.ADDRESS else f"{kind}s" for kind in Kind}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and options."""
    parser.add_argument("ids", metavar="ID", nargs="+", help="which crashes or captures")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="output file (default: astbtd-ID.tar.gz; '-': standard output)"
    )
    parser.add_argument("--redact", action="store_true", help="replace addresses, numbers, names and secrets")


def run(options: argparse.Namespace) -> ExitCode:
    """Write the bundle and print its path. An existing file is not overwritten. Raise NothingMatched, UsageError."""
    store = open_store(options)
    items = [_find_item(store, selector) for selector in dict.fromkeys(options.ids)]
    redactor = Redactor(hosts=[item.record.host for item in items]) if options.redact else None
    output = options.output or Path(f"astbtd-{items[0].record.id}.tar.gz")
    if output == Path("-"):
        _write_to_stdout(items, redactor, options.ids)
    else:
        with create_private_file(output) as descriptor, os.fdopen(os.dup(descriptor), "wb") as target:
            _write(items, target, redactor)
        write_text(f"{output}\n")
    warn([_summarize(redactor)])
    return ExitCode.DONE


def _find_item(store: Store, selector: str) -> BundleItem:
    captures = Captures(store.root)
    if capture_id := find_capture(store, captures, selector):
        return BundleItem(captures.load(capture_id), captures.directory(capture_id))
    crash_id = resolve(store, selector)
    return BundleItem(store.load(crash_id), store.directory(crash_id))


def _write_to_stdout(items: Sequence[BundleItem], redactor: Redactor | None, ids: Sequence[str]) -> None:
    if sys.stdout.isatty():
        raise UsageError("refusing to write a bundle to a terminal", f"astbtd bundle {' '.join(ids)} --output FILE")
    _write(items, sys.stdout.buffer, redactor)


def _write(items: Sequence[BundleItem], target: BinaryIO, redactor: Redactor | None) -> None:
    with Progress("packing") as progress:
        write_bundle(items, target, redactor, progress, _page_maker())


def _page_maker() -> PageMaker | None:
    """Return what makes the HTML pages. Without jinja2, warn that the bundle has none."""
    from astbtd.html.report_page import PAGE_FILE, page_files, render_page
    from astbtd.html.template import is_available

    if is_available():
        return PageMaker(PAGE_FILE, page_files, render_page)
    warn([f"the bundle has no {PAGE_FILE}: jinja2 is not installed (apt-get install python3-jinja2)"])
    return None


def _summarize(redactor: Redactor | None) -> str:
    """Describe what was redacted, and ask for a review."""
    if redactor is None:
        return f"nothing was redacted (use --redact); {_REVIEW}"
    counts = [pluralize(count, kind, _PLURALS[kind]) for kind, count in redactor.counts.items()]
    return f"replaced: {', '.join(counts) or 'nothing'}; {_REVIEW}"
