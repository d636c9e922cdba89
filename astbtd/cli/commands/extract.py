"""`astbtd extract`: cores given by hand, processed now; they stay where they are."""

import argparse
import glob
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from astbtd.claims.claim import Claim, Claims
from astbtd.claims.core_filter import ANY_NUMBER, Candidate, CoreFilter, RefusedFile, StillWritten
from astbtd.claims.private_copy import PrivateCopies, unpacked_facts
from astbtd.cli.common import Progress, add_json, load_settings, warn, write
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.lib.serialization import plain
from astbtd.model.crash import CoreAction, CoreState, Crash, CrashSignature, DiscoveredBy
from astbtd.pipeline import crash_pipeline
from astbtd.pipeline.analysis import examine, write_report
from astbtd.pipeline.components import Components, assemble
from astbtd.pipeline.crash_pipeline import CoreOrigin
from astbtd.settings import Settings
from astbtd.sources import watched_directories
from astbtd.store.occurrence import number_postponed
from astbtd.store.retention.disk_reserve import DiskReserve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("cores", metavar="CORE", nargs="+", help="core files; with --newest also directories and globs")
    parser.add_argument(
        "--executable", metavar="PATH", type=Path, help="the program that crashed, if not as the core says"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="write the sections there and store nothing")
    parser.add_argument("--newest", action="store_true", help="only the newest of them by crash time")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Processes the cores in the order given; one that fails does not stop the others."""
    settings = load_settings(options)
    settings = replace(settings, cores=replace(settings.cores, action=CoreAction.LEAVE))
    progress = Progress("gdb is at work")
    parts = assemble(settings, progress.tick)
    names = [_newest(options.cores, settings, options)] if options.newest else options.cores
    worst = ExitCode.DONE
    for name in names:
        try:
            with progress, files.said_plainly(f"cannot process {name}"):
                crash, directory = _process(_candidate(name, settings, options), settings, parts, options)
        except AstbtdError as error:
            warn([error.message, *([f"  what helps: {error.remedy}"] if error.remedy else [])])
            worst = ExitCode.FAILED
        else:
            _print(crash, directory, options)
    return worst


def _newest(names: Sequence[str], settings: Settings, options: argparse.Namespace) -> str:
    found = {}
    for name in _expanded(names):
        try:
            candidate = _candidate(name, settings, options)
        except AstbtdError:
            continue
        found[candidate.path] = candidate.facts.crashed_at
        os.close(candidate.descriptor)
    if not found:
        raise NothingMatched(f"no core of Asterisk among {', '.join(names)}", "name the directory that cores go to")
    return max(found, key=lambda path: found[path])


def _expanded(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        for path in glob.glob(name) or [name]:
            yield from (entry.path for entry in os.scandir(path)) if os.path.isdir(path) else [path]


def _candidate(name: str, settings: Settings, options: argparse.Namespace) -> Candidate:
    """The core at `name`, open. Raises AstbtdError where it is none that can be processed."""
    path = os.path.realpath(name)
    executables = None if options.executable else settings.asterisk.executables
    directory, inside, collector = watched_directories.collected_file(path, settings.collectors)
    finding = CoreFilter(executables, ANY_NUMBER, collector).examine(directory, inside)
    if isinstance(finding, Candidate):
        return _with_executable(finding, options.executable)
    if isinstance(finding, RefusedFile):
        raise AstbtdError(f"{name}: {finding.reason}", "for a core of another program, give --executable")
    if isinstance(finding, StillWritten):
        if finding.descriptor is not None:
            os.close(finding.descriptor)
        raise AstbtdError(f"{name}: it is still being written", "try again when it is complete")
    raise AstbtdError(f"{name}: it is no core" if os.path.exists(path) else f"{name}: there is no such file")


def _with_executable(candidate: Candidate, executable: Path | None) -> Candidate:
    if executable is None:
        return candidate
    if not executable.is_file():
        raise AstbtdError(f"{executable}: there is no such file", "give the program that crashed")
    process = replace(candidate.facts.process, executable=str(executable.resolve()))
    return replace(candidate, facts=replace(candidate.facts, process=process))


def _process(
    candidate: Candidate, settings: Settings, parts: Components, options: argparse.Namespace
) -> tuple[Crash, Path]:
    if options.output:
        return _write_sections(candidate, parts, options.output), options.output
    crash = _stored(candidate, settings, parts)
    return crash, parts.store.directory(crash.id)


def _stored(candidate: Candidate, settings: Settings, parts: Components) -> Crash:
    parts.store.prepare()
    identity, left = candidate.facts.identity, _left_claim(candidate, parts.claims)
    if left is None and parts.store.seen_among({identity}):
        os.close(candidate.descriptor)
        return _known(identity, candidate.path, parts)
    claim = left or parts.claims.take(candidate, DiscoveredBy.COMMAND, copy=True)
    crash = parts.pipeline(settings, parts.crash_loops(settings), _announce, lambda _: None).process(claim)
    number_postponed(parts.store)
    return parts.store.load(crash.id) if crash else _known(claim.note.facts.identity, candidate.path, parts)


def _left_claim(candidate: Candidate, claims: Claims) -> Claim | None:
    """The claim on a core that an earlier run of this command was killed with. Raises AlreadyClaimed."""
    crash_id = candidate.facts.crash_id
    note = claims.left_note(crash_id)
    if note and note.found is not DiscoveredBy.COMMAND:  # the daemon goes on with it
        return None
    left = claims.resume(crash_id)
    if left:
        os.close(candidate.descriptor)
    else:
        claims.forget(crash_id)
    return left


def _known(identity: str, path: str, parts: Components) -> Crash:
    for crash in parts.store.crashes():
        if crash.core.identity == identity:
            return crash
    raise AstbtdError(f"{path}: it was collected before, and its record is gone by now", "use --output DIR")


def _announce(_: Claim, crash: Crash, directory: Path) -> None:
    from astbtd.announce import journal  # brings systemd, which `--output` does without

    journal.crash(crash, str(directory))


def _write_sections(candidate: Candidate, parts: Components, directory: Path) -> Crash:
    """The sections and the report in a directory of the user's, which must not have any yet."""
    with files.said_plainly(f"cannot write to {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        reserve = DiskReserve(directory, parts.reserve.share)
        unpacker = replace(parts.claims.unpacker, reserve=reserve.check)
        copies = PrivateCopies(directory, parts.extractor.account.gid, unpacker)
        with _readable(candidate, parts.extractor.account, copies) as core:
            facts = unpacked_facts(core, candidate.facts) if candidate.packed else candidate.facts
            extractor = replace(parts.extractor, group=-1, reserve=reserve.check)
            examined = examine(core, facts, directory.resolve(), extractor)
        found = examined.diagnosis.signature
        signature = CrashSignature(found.id, found.text, 1, facts.crashed_at)
        origin = CoreOrigin(candidate.path, candidate.source, DiscoveredBy.COMMAND, CoreState.LEFT)
        crash = crash_pipeline.make_record(facts, origin, examined, signature)
        write_report(crash, directory)
        return crash


@contextmanager
def _readable(candidate: Candidate, account: SandboxUser, copies: PrivateCopies) -> Iterator[int]:
    """The core as gdb's user can read it: itself, or a copy for as long as it takes."""
    if not candidate.packed and account.may_read(os.fstat(candidate.descriptor)):
        yield candidate.descriptor
        return
    name = f".{candidate.facts.crash_id}"
    try:
        descriptor = copies.make(candidate.descriptor, name, packed=candidate.packed)
    finally:
        copies.remove(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _print(crash: Crash, directory: Path, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(plain(crash), ensure_ascii=False) + "\n")
        return
    write(f"{directory}: {printable_line(crash.what)}, backtrace {crash.diagnosis.verdict}\n")
