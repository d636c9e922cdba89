"""`astbtd diagnose`: assess backtrace text from any source."""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from astbtd.cli.common import Progress, add_json, warn, write_text
from astbtd.diagnosis.report import render_diagnosis
from astbtd.diagnosis.verdict import diagnose
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib.escaping import printable_line
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import Diagnosis, Verdict

_STANDARD_INPUT = "-"
_PIECE_LENGTH = 1 << 16  # characters read at a time
_WORST_FIRST = (ExitCode.FAILED, ExitCode.NOT_USABLE, ExitCode.NOTHING_MATCHED, ExitCode.DONE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="text with a backtrace; - is standard input")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Diagnose the files in the order given. Continue with the others if one cannot be read."""
    codes = [_diagnose_file(name, options) for name in options.files]
    return min(codes, key=_WORST_FIRST.index)


def _diagnose_file(name: str, options: argparse.Namespace) -> ExitCode:
    progress = Progress("reading")
    try:
        with progress:
            diagnosis = diagnose(_read_pieces(name, progress))
    except AstbtdError as error:
        warn([error.message, f"  hint: {error.remedy}"])
        return ExitCode.FAILED
    _print(name, diagnosis, options)
    if not diagnosis.threads:
        return ExitCode.NOTHING_MATCHED
    return ExitCode.NOT_USABLE if diagnosis.verdict is Verdict.UNUSABLE else ExitCode.DONE


def _read_pieces(name: str, progress: Progress) -> Iterator[str]:
    """Yield the text of a file in pieces. Raise AstbtdError if it cannot be read."""
    characters = 0
    try:
        with _open(name) as file:
            for piece in iter(partial(file.read, _PIECE_LENGTH), ""):
                yield piece
                characters += len(piece)
                progress(characters)
    except OSError as error:
        raise AstbtdError(f"cannot read {name}: {error.strerror}", "give a file with the output of gdb") from error


def _open(name: str) -> TextIOWrapper:
    """Open a file, or standard input. Only "\n" ends a line."""
    if name == _STANDARD_INPUT:
        return TextIOWrapper(sys.stdin.buffer, "utf-8", errors="replace", newline="\n")
    return Path(name).open(encoding="utf-8", errors="replace", newline="\n")


def _print(name: str, diagnosis: Diagnosis, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(to_plain(diagnosis), ensure_ascii=False) + "\n")
        return
    text = render_diagnosis(diagnosis)
    if len(options.files) > 1:
        text = f"{printable_line(name)}\n{text}\n"
    write_text(text)
