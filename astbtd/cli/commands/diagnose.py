"""`astbtd diagnose`: the verdict over backtrace text from anywhere."""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from astbtd.cli.common import Progress, add_json, warn, write
from astbtd.diagnosis.report import brief
from astbtd.diagnosis.verdict import diagnose
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib.escaping import printable_line
from astbtd.lib.serialization import plain
from astbtd.model.crash import Diagnosis, Verdict

_STANDARD_INPUT = "-"
_PIECE = 1 << 16  # characters read at a time
_GRAVEST_FIRST = (ExitCode.FAILED, ExitCode.NOT_USABLE, ExitCode.NOTHING_MATCHED, ExitCode.DONE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="text with a backtrace; - is standard input")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Diagnoses the files in the order given; one that cannot be read does not stop the others."""
    codes = [_one(name, options) for name in options.files]
    return min(codes, key=_GRAVEST_FIRST.index)


def _one(name: str, options: argparse.Namespace) -> ExitCode:
    progress = Progress("reading")
    try:
        with progress:
            diagnosis = diagnose(_pieces(name, progress))
    except AstbtdError as error:
        warn([error.message, f"  what helps: {error.remedy}"])
        return ExitCode.FAILED
    _print(name, diagnosis, options)
    if not diagnosis.threads:
        return ExitCode.NOTHING_MATCHED
    return ExitCode.NOT_USABLE if diagnosis.verdict is Verdict.UNUSABLE else ExitCode.DONE


def _pieces(name: str, progress: Progress) -> Iterator[str]:
    """The text of a file, piece by piece. Raises AstbtdError."""
    read = 0
    try:
        with _opened(name) as file:
            for piece in iter(partial(file.read, _PIECE), ""):
                yield piece
                progress(read := read + len(piece))
    except OSError as error:
        raise AstbtdError(f"{name}: {error.strerror}", "name a file with the text that gdb printed") from error


def _opened(name: str) -> TextIOWrapper:
    """The file's text; only a newline ends a line."""
    if name == _STANDARD_INPUT:
        return TextIOWrapper(sys.stdin.buffer, "utf-8", errors="replace", newline="\n")
    return Path(name).open(encoding="utf-8", errors="replace", newline="\n")


def _print(name: str, diagnosis: Diagnosis, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(plain(diagnosis), ensure_ascii=False) + "\n")
        return
    several = len(options.files) > 1
    heading = f"{printable_line(name)}\n" if several else ""
    write(heading + brief(diagnosis) + ("\n" if several else ""))
