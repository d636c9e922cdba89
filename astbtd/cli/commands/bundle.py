"""`astbtd bundle`: the texts of crashes and captures in one file for an issue tracker, without cores."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from astbtd.cli.common import Progress, new_file, open_store, warn, write
from astbtd.errors import ExitCode, UsageError
from astbtd.lib.quantities import counted
from astbtd.store.captures import Captures
from astbtd.store.id_lookup import capture_meant, resolve
from astbtd.store.issue_bundle import Part, pack
from astbtd.store.redaction import Kind, Redactor
from astbtd.store.store import Store

_READ_IT = "read it through before you publish it: memory of the PBX may hold what no rule knows to be private"

_MANY = {kind: f"{kind}es" if kind is Kind.ADDRESS else f"{kind}s" for kind in Kind}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("ids", metavar="ID", nargs="+", help="which crashes or captures")
    parser.add_argument("--output", metavar="FILE", type=Path, help="where to (default: astbtd-ID.tar.gz; '-': stdout)")
    parser.add_argument("--redact", action="store_true", help="replace addresses, numbers, names and secrets")


def run(options: argparse.Namespace) -> ExitCode:
    """Writes the bundle and prints where; a file that exists is not overwritten. Raises NothingMatched, UsageError."""
    store = open_store(options)
    parts = [_part(store, selector) for selector in dict.fromkeys(options.ids)]
    redactor = Redactor(hosts=[part.record.host for part in parts]) if options.redact else None
    output = options.output or Path(f"astbtd-{parts[0].record.id}.tar.gz")
    if output == Path("-"):
        _write_out(parts, redactor, options.ids)
    else:
        with new_file(output) as descriptor, os.fdopen(os.dup(descriptor), "wb") as target:
            _pack(parts, target, redactor)
        write(f"{output}\n")
    warn(_remarks(redactor))
    return ExitCode.DONE


def _part(store: Store, selector: str) -> Part:
    captures = Captures(store.root)
    if capture_id := capture_meant(store, captures, selector):
        return Part(captures.load(capture_id), captures.directory(capture_id))
    crash_id = resolve(store, selector)
    return Part(store.load(crash_id), store.directory(crash_id))


def _write_out(parts: Sequence[Part], redactor: Redactor | None, ids: Sequence[str]) -> None:
    if sys.stdout.isatty():
        raise UsageError("a bundle is not for a terminal", f"astbtd bundle {' '.join(ids)} --output FILE")
    _pack(parts, sys.stdout.buffer, redactor)


def _pack(parts: Sequence[Part], target: BinaryIO, redactor: Redactor | None) -> None:
    with Progress("packing") as progress:
        pack(parts, target, redactor, progress)


def _remarks(redactor: Redactor | None) -> list[str]:
    if redactor is None:
        return [f"nothing was redacted (--redact does); {_READ_IT}"]
    replaced = ", ".join(counted(count, kind, _MANY[kind]) for kind, count in redactor.counts.items()) or "nothing"
    return [f"replaced: {replaced}; {_READ_IT}"]
