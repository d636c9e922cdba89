"""`astbtd extract`: process core files given on the command line, now, or recorded crashes again.

The core files themselves are left unchanged. What is not needed to start gdb is loaded later.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.cli import reextract
from astbtd.cli.common import Progress, add_json, load_settings, write_json_line, write_text
from astbtd.cli.extract_output import write_sections
from astbtd.cli.main import print_error
from astbtd.errors import AstbtdError, ExitCode, UsageError
from astbtd.lib import files, scheduling
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import CoreAction, Crash
from astbtd.settings import Settings

if TYPE_CHECKING:
    from astbtd.claims.core_filter import Candidate
    from astbtd.cli.extract_store import Extracted
    from astbtd.pipeline.reextraction import ExtractedAgain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "cores",
        metavar="CORE",
        nargs="*",
        help="core file (with --newest also a directory or glob), or the id of a crash to extract again",
    )
    parser.add_argument(
        "--executable", metavar="PATH", type=Path, help="program that crashed, if the core does not name the right one"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="write the sections to DIR and store nothing")
    parser.add_argument("--newest", action="store_true", help="process only the newest core by crash time")
    reextract.add_arguments(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Process the cores in the order given. A failure does not stop the others, but sets the exit code."""
    scheduling.let_others_preempt()
    settings = load_settings(options)
    settings = replace(settings, cores=replace(settings.cores, action=CoreAction.LEAVE))
    _check_usage(options)
    progress = Progress("running gdb")
    exit_code = ExitCode.DONE
    for name, extract in _choose(settings, options, progress):
        try:
            with progress, files.wrap_os_error(f"cannot process {name}"):
                result, directory = extract()
        except AstbtdError as error:
            print_error(error.message, error.remedy)
            exit_code = ExitCode.FAILED
        else:
            _print(result, directory, options)
    return exit_code


def _check_usage(options: argparse.Namespace) -> None:
    """Raise UsageError if nothing is named, or if options do not belong together."""
    selects = bool(options.signature or options.unusable)
    if not (options.cores or selects):
        raise UsageError("give a core file or the id of a crash", "`astbtd list` shows all crashes")
    if options.newest or not (options.output or options.executable):
        return
    if selects or any(map(reextract.names_crash, options.cores)):
        raise UsageError("--output and --executable need a core file", "write it with `astbtd core ID --output FILE`")


def _choose(
    settings: Settings, options: argparse.Namespace, progress: Progress
) -> Iterator[tuple[str, "Callable[[], Extracted]"]]:
    """Yield what to extract, in the order given: its name, and the function that extracts it."""
    if not options.output:
        from astbtd.cli import extract_store  # loads all stages of a core

        yield from extract_store.choose(settings, options, progress)
        return
    for name in [_find_newest(settings, options)] if options.newest else options.cores:
        open_candidate = partial(_open_core, name, settings, options.executable)
        yield name, partial(_extract_to, options.output, open_candidate, settings, progress)


def _find_newest(settings: Settings, options: argparse.Namespace) -> str:
    from astbtd.cli import named_core

    return named_core.find_newest(options.cores, settings, options.executable, collected=None)


def _open_core(name: str, settings: Settings, executable: Path | None) -> "Candidate":
    from astbtd.cli import named_core  # loaded while gdb starts

    return named_core.open_core(name, settings, executable)


def _extract_to(
    output: Path, open_candidate: Callable[[], "Candidate"], settings: Settings, progress: Progress
) -> "Extracted":
    return write_sections(open_candidate, settings, output, progress.tick), output


def _print(result: "Crash | ExtractedAgain", directory: Path, options: argparse.Namespace) -> None:
    if not isinstance(result, Crash):
        reextract.print_result(result, directory, options)
    elif options.json:
        write_json_line(result)
    else:
        mark = "foreign, not the PBX: " if result.foreign else ""
        write_text(f"{directory}: {mark}{printable_line(result.what)}, backtrace {result.diagnosis.verdict}\n")
