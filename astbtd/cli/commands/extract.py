"""`astbtd extract`: process core files given on the command line, now, or recorded crashes again.

The core files themselves are left unchanged.
"""

import argparse
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.claims import core_ownership
from astbtd.claims.core_filter import ANY_NUMBER, Candidate, CoreFilter, Postponed, RefusedFile, StillWritten
from astbtd.cli import reextract
from astbtd.cli.common import Progress, add_json, load_settings, write_json_line, write_text
from astbtd.cli.extract_output import write_sections
from astbtd.cli.main import print_error
from astbtd.cli.reextract import BY_COMMAND
from astbtd.errors import AstbtdError, ExitCode, NothingMatched, UsageError
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import CoreAction, Crash
from astbtd.pipeline.components import Components, assemble
from astbtd.settings import Settings
from astbtd.sources import watched_directories
from astbtd.store.id_lookup import resolve

if TYPE_CHECKING:
    from astbtd.pipeline.reextraction import ExtractedAgain


class PermissionDenied(AstbtdError):
    """A file may be a core, but the user may not read it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: permission denied", "use sudo")


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
    settings = load_settings(options)
    settings = replace(settings, cores=replace(settings.cores, action=CoreAction.LEAVE))
    progress = Progress("running gdb")
    parts = assemble(settings, progress.tick)
    exit_code = ExitCode.DONE
    for name, is_crash in _choose(settings, parts, options):
        try:
            with progress, files.wrap_os_error(f"cannot process {name}"):
                if is_crash:
                    result = _extract_kept(name, parts, progress)
                else:
                    result = _process(_open_candidate(name, settings, options), settings, parts, options)
        except AstbtdError as error:
            print_error(error.message, error.remedy)
            exit_code = ExitCode.FAILED
        else:
            _print(result, parts, options)
    return exit_code


def _choose(settings: Settings, parts: Components, options: argparse.Namespace) -> Iterator[tuple[str, bool]]:
    """Yield what to extract, in the order given: the path of a core file or the id of a crash, and which of both."""
    if options.newest:
        yield _find_newest(options.cores, settings, parts, options), False
        return
    selects = bool(options.signature or options.unusable)
    names = [(name, reextract.names_crash(name)) for name in options.cores]
    if not names and not selects:
        raise UsageError("give a core file or the id of a crash", "`astbtd list` shows all crashes")
    if any(is_crash for _, is_crash in names) and (options.output or options.executable):
        raise UsageError("--output and --executable need a core file", "write it with `astbtd core ID --output FILE`")
    if selects:
        yield from ((crash_id, True) for crash_id in reextract.select(parts.store, options.cores, options))
    for name, is_crash in names:
        yield resolve(parts.store, name) if is_crash else name, is_crash


def _find_newest(names: Sequence[str], settings: Settings, parts: Components, options: argparse.Namespace) -> str:
    """Return the path of the core with the latest crash time. Raises NothingMatched, PermissionDenied.

    A core that was collected before is only returned if all were: so the older ones can be collected one by one. Those
    of foreign programs come after the PBX's: any user may put one into the directory.
    """
    identity = watched_directories.find_remembered_identity(settings)
    crash_times: dict[str, tuple[bool, bool, datetime]] = {}
    unreadable: list[PermissionDenied] = []
    for name in _expand(names):
        try:
            candidate = _open_candidate(name, settings, options)
        except AstbtdError as error:
            unreadable += [error] if isinstance(error, PermissionDenied) else []
            continue
        is_new = bool(options.output) or not parts.store.collected.among({candidate.facts.identity})
        is_of_pbx = not core_ownership.judge(candidate, identity).is_foreign
        crash_times[candidate.path] = is_new, is_of_pbx, candidate.facts.crashed_at
        os.close(candidate.descriptor)
    if unreadable and not crash_times:
        raise unreadable[0]
    if not crash_times:
        raise NothingMatched(f"no core of Asterisk in {', '.join(names)}", "give the directory that holds the cores")
    return max(crash_times, key=lambda path: crash_times[path])


def _expand(names: Sequence[str]) -> Iterator[str]:
    """Yield the files that the names stand for: globs are expanded, directories replaced by their entries."""
    for name in names:
        for path in glob.glob(name) or [name]:
            if os.path.isdir(path):
                yield from (entry.path for entry in os.scandir(path))
            else:
                yield path


def _open_candidate(name: str, settings: Settings, options: argparse.Namespace) -> Candidate:
    """Open the core at `name`. Raises AstbtdError if it is not a core that can be processed."""
    path = os.path.realpath(name)
    executables = None if options.executable else settings.asterisk.executables
    directory, inside, collector = watched_directories.split_collected_path(path, settings.collectors)
    with files.wrap_os_error(f"cannot examine {name}"):
        finding = CoreFilter(executables, ANY_NUMBER, collector).examine(directory, inside)
    if isinstance(finding, Candidate):
        return _set_executable(finding, options.executable)
    if isinstance(finding, RefusedFile | Postponed):
        _check_readable(name)
        raise AstbtdError(f"{name}: {finding.reason}", "to process a core of another program, give --executable")
    if isinstance(finding, StillWritten):
        if finding.descriptor is not None:
            os.close(finding.descriptor)
        raise AstbtdError(f"{name}: still being written", "retry when the core is complete")
    _check_readable(name)
    raise AstbtdError(f"{name}: not a core file", "give the core that the kernel or another collector wrote")


def _check_readable(name: str) -> None:
    """Raise AstbtdError with the reason if the file cannot be opened, for example because it does not exist."""
    try:
        os.stat(name)
        if not os.access(name, os.R_OK, effective_ids=True):
            raise PermissionDenied(name)
    except PermissionError as error:
        raise PermissionDenied(name) from error
    except OSError as error:
        raise AstbtdError(f"{name}: {error.strerror}", "check the path") from error


def _set_executable(candidate: Candidate, executable: Path | None) -> Candidate:
    if executable is None:
        return candidate
    if not executable.is_file():
        raise AstbtdError(f"{executable}: not a file", "give the program that crashed with --executable")
    process = replace(candidate.facts.process, executable=str(executable.resolve()))
    return replace(candidate, facts=replace(candidate.facts, process=process))


def _extract_kept(crash_id: str, parts: Components, progress: Progress) -> "Crash | ExtractedAgain":
    """Extract a recorded crash again."""
    from astbtd.pipeline.stages import reextraction  # loads all stages of a core

    return reextraction(parts, progress).extract_kept(crash_id, BY_COMMAND)


def _process(
    candidate: Candidate, settings: Settings, parts: Components, options: argparse.Namespace
) -> "Crash | ExtractedAgain":
    """Process a core; return its record."""
    if options.output:
        return write_sections(candidate, parts, options.output)
    from astbtd.cli import extract_store  # loads all stages of a core

    return extract_store.store_crash(candidate, settings, parts, options.executable, was_found=options.newest)


def _print(result: "Crash | ExtractedAgain", parts: Components, options: argparse.Namespace) -> None:
    if not isinstance(result, Crash):
        reextract.announce(result, parts)
        reextract.print_result(result, parts.store.directory(result.after.id), options)
    elif options.json:
        write_json_line(result)
    else:
        directory = options.output or parts.store.directory(result.id)
        mark = "foreign, not the PBX: " if result.foreign else ""
        write_text(f"{directory}: {mark}{printable_line(result.what)}, backtrace {result.diagnosis.verdict}\n")
