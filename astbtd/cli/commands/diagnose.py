"""`astbtd diagnose`: assess backtrace text from any source."""

import argparse
import codecs
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader, TextIOWrapper
from pathlib import Path

from astbtd.cli.common import Progress, add_json, warn, write_json_line, write_text
from astbtd.diagnosis.report import render_diagnosis
from astbtd.diagnosis.verdict import diagnose
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Diagnosis, Kind

_STANDARD_INPUT = "-"
_PIECE_LENGTH = 1 << 16  # characters read at a time
_SAMPLE_LENGTH = 512  # bytes in which the encoding is detected
_MOSTLY = 0.8
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # starts with the mark of UTF-16
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORST_FIRST = (ExitCode.FAILED, ExitCode.NOT_USABLE, ExitCode.NOTHING_MATCHED, ExitCode.DONE)


_NOTHING_FAILED = (Kind.LIVE, Kind.NOTHING)


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
            diagnosis = diagnose(read_pieces(name, progress))
    except AstbtdError as error:
        warn([error.message, f"  hint: {error.remedy}"])
        return ExitCode.FAILED
    _print(name, diagnosis, options)
    return exit_status(diagnosis)


def exit_status(diagnosis: Diagnosis) -> ExitCode:
    """Return the status: 3 if the text shows nothing that failed, 4 if a developer cannot work with it, else 0."""
    if diagnosis.kind in _NOTHING_FAILED:
        return ExitCode.NOTHING_MATCHED
    return ExitCode.NOT_USABLE if diagnosis.verdict is Verdict.UNUSABLE else ExitCode.DONE


def read_pieces(name: str, progress: Callable[[int], None] = lambda _: None) -> Iterator[str]:
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
    file = sys.stdin.buffer if name == _STANDARD_INPUT else Path(name).open("rb")  # noqa: SIM115 - the caller closes it
    sample = file.peek(_SAMPLE_LENGTH)[:_SAMPLE_LENGTH] if isinstance(file, BufferedReader) else b""
    return TextIOWrapper(file, detect_encoding(sample), errors="replace", newline="\n")


def detect_encoding(sample: bytes) -> str:
    """Return the encoding of a text that starts with `sample`: UTF-16 if a Windows program wrote it, else UTF-8."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return encoding
    ascii_in_utf16 = len(sample) // 2
    if ascii_in_utf16 and sample[1::2].count(0) > _MOSTLY * ascii_in_utf16:
        return "utf-16-le"
    if ascii_in_utf16 and sample[0::2].count(0) > _MOSTLY * ascii_in_utf16:
        return "utf-16-be"
    return "utf-8"


def _print(name: str, diagnosis: Diagnosis, options: argparse.Namespace) -> None:
    if options.json:
        write_json_line(diagnosis)
        return
    text = render_diagnosis(diagnosis)
    if len(options.files) > 1:
        text = f"{printable_line(name)}\n{text}\n"
    write_text(text)
