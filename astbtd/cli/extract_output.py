"""`astbtd extract --output DIR`: write the sections of a core to a directory of the user, and store nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from astbtd.claims.core_filter import Candidate
from astbtd.claims.private_copy import PrivateCopies, unpacked_facts
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files
from astbtd.lib.path_walk import create_file, opened_directory, refuse_exchangeable
from astbtd.model.crash import REPORT_FILE, CoreState, Crash, DiscoveredBy, Section
from astbtd.pipeline.components import Components
from astbtd.pipeline.gdb_analysis import analyze_core
from astbtd.store.retention.disk_reserve import DiskReserve

_SECTIONS = "sections"
_BLOCK = 1 << 20  # bytes
_SHARED_DIRECTORY = "/var/tmp"  # noqa: S108 - root's, with the sticky bit; what we create there has a random name
"""Where the work is done if there is no store, or a user cannot write to it."""


def write_sections(candidate: Candidate, parts: Components, output: Path) -> Crash:
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
    copies = PrivateCopies(private, parts.extractor.user.gid, unpacker, durable=False)
    with open_for_gdb(candidate, parts.extractor.user, copies) as core:
        facts = unpacked_facts(core, candidate.facts) if candidate.packed else candidate.facts
        extractor = replace(parts.extractor, group=-1, check_reserve=reserve.check)
        result = analyze_core(core, facts, sections, extractor)

    from astbtd.pipeline import crash_record, crash_report  # loaded while gdb ran, see gdb_analysis

    signature = crash_record.first_of_signature(result.diagnosis.signature, facts.crashed_at)
    origin = crash_record.CoreOrigin(candidate.path, candidate.source, DiscoveredBy.COMMAND, CoreState.LEFT)
    crash = crash_record.make_record(facts, origin, result, signature)
    crash_report.write_report(crash, sections)
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
def open_for_gdb(candidate: Candidate, user: SandboxUser, copies: PrivateCopies) -> Iterator[int]:
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
