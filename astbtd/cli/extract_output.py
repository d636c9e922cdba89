"""`astbtd extract --output DIR`: write the sections of a core to a directory of the user, and store nothing."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.errors import AstbtdError
from astbtd.extraction.extracted_core import ReadableCore
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files
from astbtd.lib.path_walk import create_file, opened_directory, refuse_exchangeable
from astbtd.model.crash import REPORT_FILE, CoreState, Crash, DiscoveredBy, Section
from astbtd.pipeline.configured_extractor import configured_store, make_extractor
from astbtd.pipeline.gdb_analysis import analyze_core
from astbtd.settings import Settings, UnpackingSettings
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store

if TYPE_CHECKING:  # loaded while gdb starts
    from astbtd.claims.core_filter import Candidate
    from astbtd.claims.private_copy import PrivateCopies

_SECTIONS = "sections"
_BLOCK = 1 << 20  # bytes
_SHARED_DIRECTORY = "/var/tmp"  # noqa: S108 - root's, with the sticky bit; what we create there has a random name
"""Where the work is done if there is no store, or a user cannot write to it."""

OpenCandidate = Callable[[], "Candidate"]


def write_sections(
    open_candidate: OpenCandidate, settings: Settings, output: Path, check_interrupt: Callable[[], None]
) -> Crash:
    """Write the sections and the report to a directory of the user, which must not contain any of these files.

    Another user may own that directory or one above it. It is created, and opened, if there is a core. All work is done
    in a private directory; then new files are created in the output directory.
    """
    store = configured_store(settings)
    with (
        files.wrap_os_error(f"cannot write to {output}"),
        files.private_directory(_private_parent(store)) as private,
    ):
        reserve = DiskReserve(private, settings.retention.minimum_free)
        extractor = replace(make_extractor(settings, store, reserve.check, check_interrupt), group=-1)
        with _OpenedLater(open_candidate, output, private, extractor, settings.unpacking) as opened:
            crash = _extract_privately(opened, private / _SECTIONS, extractor)
            for name in sorted(os.listdir(private / _SECTIONS)):
                _copy_file(private / _SECTIONS / name, opened.output, name)
        return crash


def _private_parent(store: Store) -> Path:
    """Return a directory in which no other user can exchange what we create."""
    if os.geteuid() == 0 and store.incoming.is_dir():
        refuse_exchangeable(store.root)
        return store.incoming
    return Path(_SHARED_DIRECTORY)


@contextmanager
def _opened_output(path: Path) -> Iterator[int]:
    """Yield a descriptor of the output directory. Raise AstbtdError if one of the files exists already."""
    with opened_directory(path, create=True) as directory:
        existing = sorted({*map(str, Section), REPORT_FILE} & set(os.listdir(directory)))
        if existing:
            raise AstbtdError(f"{path} already contains {existing[0]}", "give a new or empty directory with --output")
        yield directory


def _extract_privately(opened: "_OpenedLater", sections: Path, extractor: Extractor) -> Crash:
    """Write the sections and the report to a new directory that is private."""
    sections.mkdir()
    result = analyze_core(lambda: opened.core, sections, extractor)

    from astbtd.pipeline import crash_record, crash_report  # loaded while gdb ran, see gdb_analysis

    candidate, facts = opened.candidate, opened.core.facts
    signature = crash_record.first_of_signature(result.diagnosis.signature, facts.crashed_at)
    origin = crash_record.CoreOrigin(candidate.path, candidate.source, DiscoveredBy.COMMAND, CoreState.LEFT)
    crash = crash_record.make_record(facts, origin, result, signature)
    crash_report.write_report(crash, sections)
    return crash


class _OpenedLater:
    """What is opened while gdb starts, and closed when the block ends: the core, then the output directory."""

    def __init__(
        self,
        open_candidate: OpenCandidate,
        directory: Path,
        private: Path,
        extractor: Extractor,
        unpacking: UnpackingSettings,
    ) -> None:
        self._open_candidate = open_candidate
        self._directory = directory
        self._private = private
        self._extractor = extractor
        self._unpacking = unpacking
        self._until_end = ExitStack()

    def __enter__(self) -> "_OpenedLater":
        return self

    def __exit__(self, *_: object) -> None:
        self._until_end.close()

    @cached_property
    def candidate(self) -> "Candidate":
        """The core file."""
        candidate = self._open_candidate()
        self._until_end.callback(os.close, candidate.descriptor)
        return candidate

    @cached_property
    def output(self) -> int:
        """The descriptor of the output directory."""
        return self._until_end.enter_context(_opened_output(self._directory))

    @cached_property
    def core(self) -> ReadableCore:
        """The core file itself, or its copy in the private directory if gdb's user cannot read it."""
        from astbtd.claims.private_copy import PrivateCopies, Unpacker, unpacked_facts

        candidate, extractor = self.candidate, self._extractor
        _ = self.output  # if it cannot be opened, that is known before the core is copied, and before gdb works
        unpacker = Unpacker(self._unpacking, extractor.check_reserve, extractor.check_interrupt)
        copies = PrivateCopies(self._private, extractor.user.gid, unpacker, durable=False)
        core = self._until_end.enter_context(open_for_gdb(candidate, extractor.user, copies))
        return ReadableCore(core, unpacked_facts(core, candidate.facts) if candidate.packed else candidate.facts)


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
def open_for_gdb(candidate: "Candidate", user: SandboxUser, copies: "PrivateCopies") -> Iterator[int]:
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
