"""`astbtd extract`: process core files given on the command line, now. The files themselves are left unchanged."""

import argparse
import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from astbtd.claims.claim import Claim, Claims
from astbtd.claims.core_filter import ANY_NUMBER, Candidate, CoreFilter, Postponed, RefusedFile, StillWritten
from astbtd.claims.private_copy import PrivateCopies, unpacked_facts
from astbtd.cli.common import Progress, add_json, load_settings, warn, write_json_line, write_text
from astbtd.cli.main import print_error
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.lib.path_walk import create_file, opened_directory, refuse_exchangeable
from astbtd.model.crash import REPORT_FILE, CoreAction, CoreState, Crash, DiscoveredBy, Section
from astbtd.pipeline import crash_record, foreign_cores
from astbtd.pipeline.analysis import analyze_core, write_report
from astbtd.pipeline.components import Components, assemble
from astbtd.pipeline.crash_record import CoreOrigin
from astbtd.settings import Settings
from astbtd.sources import watched_directories
from astbtd.store.occurrence import number_postponed
from astbtd.store.retention.disk_reserve import DiskReserve

_SECTIONS = "sections"
_BLOCK = 1 << 20  # bytes
_SHARED_DIRECTORY = "/var/tmp"  # noqa: S108 - root's, with the sticky bit; what we create there has a random name
"""Where the work is done if there is no store, or a user cannot write to it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("cores", metavar="CORE", nargs="+", help="core file; with --newest also a directory or glob")
    parser.add_argument(
        "--executable", metavar="PATH", type=Path, help="program that crashed, if the core does not name the right one"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="write the sections to DIR and store nothing")
    parser.add_argument("--newest", action="store_true", help="process only the newest core by crash time")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Process the cores in the order given. A failure does not stop the others, but sets the exit code."""
    settings = load_settings(options)
    settings = replace(settings, cores=replace(settings.cores, action=CoreAction.LEAVE))
    progress = Progress("running gdb")
    parts = assemble(settings, progress.tick)
    names = [_find_newest(options.cores, settings, parts, options)] if options.newest else options.cores
    exit_code = ExitCode.DONE
    for name in names:
        try:
            with progress, files.wrap_os_error(f"cannot process {name}"):
                candidate = _open_candidate(name, settings, options)
                crash, directory = _process(candidate, settings, parts, options)
        except AstbtdError as error:
            print_error(error.message, error.remedy)
            exit_code = ExitCode.FAILED
        else:
            _print(crash, directory, options)
    return exit_code


def _find_newest(names: Sequence[str], settings: Settings, parts: Components, options: argparse.Namespace) -> str:
    """Return the path of the core with the latest crash time. Raises NothingMatched.

    A core that was collected before is only returned if all were: so the older ones can be collected one by one.
    """
    crash_times: dict[str, tuple[bool, datetime]] = {}
    for name in _expand(names):
        try:
            candidate = _open_candidate(name, settings, options)
        except AstbtdError:
            continue
        is_new = bool(options.output) or not parts.store.collected.among({candidate.facts.identity})
        crash_times[candidate.path] = is_new, candidate.facts.crashed_at
        os.close(candidate.descriptor)
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
        if not os.access(name, os.R_OK):
            raise AstbtdError(f"{name}: permission denied", "use sudo")
    except PermissionError as error:
        raise AstbtdError(f"{name}: permission denied", "use sudo") from error
    except OSError as error:
        raise AstbtdError(f"{name}: {error.strerror}", "check the path") from error


def _set_executable(candidate: Candidate, executable: Path | None) -> Candidate:
    if executable is None:
        return candidate
    if not executable.is_file():
        raise AstbtdError(f"{executable}: not a file", "give the program that crashed with --executable")
    process = replace(candidate.facts.process, executable=str(executable.resolve()))
    return replace(candidate, facts=replace(candidate.facts, process=process))


def _process(
    candidate: Candidate, settings: Settings, parts: Components, options: argparse.Namespace
) -> tuple[Crash, Path]:
    """Process a core; return its record and the directory of its files."""
    if options.output:
        return _write_sections(candidate, parts, options.output), options.output
    crash = _store_crash(candidate, settings, parts)
    return crash, parts.store.directory(crash.id)


def _store_crash(candidate: Candidate, settings: Settings, parts: Components) -> Crash:
    """Take the core through the pipeline; return the record that exists already if it was collected before."""
    parts.store.prepare()
    identity = candidate.facts.identity
    foreign = foreign_cores.foreign_reason(candidate.facts.process, settings)
    if foreign:
        _explain_foreign(candidate.path, foreign)
    resumed = _resume_claim(candidate, parts.claims)
    if resumed is None and parts.store.collected.among({identity}):
        os.close(candidate.descriptor)
        recorded = _find_by_identity(identity, candidate.path, parts)
        return recorded if foreign or not recorded.foreign else foreign_cores.adopt(parts.store, recorded)
    claim = resumed or parts.claims.claim_core(candidate, DiscoveredBy.COMMAND, copy=True, foreign=bool(foreign))
    pipeline = parts.crash_pipeline(settings, parts.crash_loops(settings), _announce, lambda _: None)
    crash = pipeline.process(claim)
    number_postponed(parts.store)
    if crash is None:  # collected meanwhile from elsewhere
        return _find_by_identity(claim.record.facts.identity, candidate.path, parts)
    return parts.store.load(crash.id)


def _explain_foreign(path: str, reason: str) -> None:
    """Warn that a crash is recorded as foreign: maybe nobody has told us yet which user runs the PBX."""
    hint = "  hint: if it is your PBX, add its user to asterisk.users in /etc/astbtd.yaml, and repeat the command"
    warn([f"{path} counts as the core of a foreign program, not of the PBX: {reason}", hint])


def _resume_claim(candidate: Candidate, claims: Claims) -> Claim | None:
    """Return the claim of an earlier run of this command that was killed, None if there is none.

    Raises AlreadyClaimed. Closes the candidate's descriptor if a claim is returned.
    """
    crash_id = candidate.facts.crash_id
    note = claims.read_record(crash_id)
    if note and note.found is not DiscoveredBy.COMMAND:  # the daemon will resume this claim
        return None
    resumed = claims.resume(crash_id)
    if resumed:
        os.close(candidate.descriptor)
    else:
        claims.forget(crash_id)
    return resumed


def _find_by_identity(identity: str, path: str, parts: Components) -> Crash:
    for crash in parts.store.crashes():
        if crash.core.identity == identity:
            return crash
    raise AstbtdError(
        f"{path}: this core was collected before, and retention has removed its record", "use --output DIR"
    )


def _announce(_: Claim, crash: Crash, directory: Path) -> None:
    from astbtd.announce import journal  # imports systemd, which --output does not need

    announce = journal.announce_foreign_crash if crash.foreign else journal.announce_crash
    announce(crash, str(directory))


def _write_sections(candidate: Candidate, parts: Components, output: Path) -> Crash:
    """Write the sections and the report to a directory of the user, which must not contain any of these files.

    Another user may own that directory or one above it. All work is done in a private directory; then new files are
    created in the output directory, which is open all the time.
    """
    with (
        files.wrap_os_error(f"cannot write to {output}"),
        opened_directory(output, create=True) as opened,
        files.private_directory(_private_parent(parts)) as private,
    ):
        _refuse_to_overwrite(opened, output)
        crash = _extract_privately(candidate, parts, private)
        for name in sorted(os.listdir(private / _SECTIONS)):
            _copy_file(private / _SECTIONS / name, opened, name)
        return crash


def _private_parent(parts: Components) -> Path:
    """Return a directory in which no other user can exchange what we create."""
    if os.geteuid() == 0 and parts.store.incoming.is_dir():
        refuse_exchangeable(parts.store.root)
        return parts.store.incoming
    return Path(_SHARED_DIRECTORY)


def _refuse_to_overwrite(directory: int, path: Path) -> None:
    """Raise AstbtdError if a file exists already, before the time that gdb takes is spent."""
    existing = sorted({*map(str, Section), REPORT_FILE} & set(os.listdir(directory)))
    if existing:
        raise AstbtdError(f"{path} already contains {existing[0]}", "give a new or empty directory with --output")


def _extract_privately(candidate: Candidate, parts: Components, private: Path) -> Crash:
    """Write the sections and the report to a subdirectory of a private directory."""
    sections = private / _SECTIONS
    sections.mkdir()
    reserve = DiskReserve(private, parts.reserve.share)
    unpacker = replace(parts.claims.unpacker, reserve=reserve.check)
    copies = PrivateCopies(private, parts.extractor.user.gid, unpacker)
    with _open_for_gdb(candidate, parts.extractor.user, copies) as core:
        facts = unpacked_facts(core, candidate.facts) if candidate.packed else candidate.facts
        extractor = replace(parts.extractor, group=-1, check_reserve=reserve.check)
        result = analyze_core(core, facts, sections, extractor)
    signature = crash_record.first_of_signature(result.diagnosis.signature, facts.crashed_at)
    origin = CoreOrigin(candidate.path, candidate.source, DiscoveredBy.COMMAND, CoreState.LEFT)
    crash = crash_record.make_record(facts, origin, result, signature)
    write_report(crash, sections)
    return crash


def _copy_file(source: Path, directory: int, name: str) -> None:
    """Copy a file into an open directory, in which no file may have that name."""
    descriptor = create_file(directory, name, files.FILE_MODE)
    try:
        with source.open("rb") as content:
            while block := content.read(_BLOCK):
                files.write_all(descriptor, block)
    finally:
        os.close(descriptor)


@contextmanager
def _open_for_gdb(candidate: Candidate, user: SandboxUser, copies: PrivateCopies) -> Iterator[int]:
    """Yield a descriptor of the core that gdb's user can read: the core itself, or a temporary unpacked copy."""
    if not candidate.packed and user.may_read(os.fstat(candidate.descriptor)):
        yield candidate.descriptor
        return
    name = f".{candidate.facts.crash_id}"
    try:
        descriptor = copies.make(candidate.descriptor, name, packed=candidate.packed)
    finally:
        copies.remove(name)  # the descriptor keeps the copy
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _print(crash: Crash, directory: Path, options: argparse.Namespace) -> None:
    if options.json:
        write_json_line(crash)
    else:
        mark = "foreign, not the PBX: " if crash.foreign else ""
        write_text(f"{directory}: {mark}{printable_line(crash.what)}, backtrace {crash.diagnosis.verdict}\n")
