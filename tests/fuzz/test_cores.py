"""Cores with headers, notes, file tables and memory as an attacker could write them."""

import os
from pathlib import Path

from hypothesis import HealthCheck, example, given
from hypothesis import settings as limits

from astbtd.claims.core_filter import Candidate, Finding, examine
from astbtd.elf import core_notes
from astbtd.elf.core_notes import NotACore
from astbtd.elf.headers import FileType, NotElf
from astbtd.extraction import build_ids
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import CRASH_ID
from tests.support.builders import FORMS, NT_FILE, NT_PRSTATUS, DeadProcess, elf_file
from tests.support.mutations import mutated

SEEDS = (
    *(DeadProcess(form).core() for form in FORMS),
    DeadProcess(mapped=tuple(f"/usr/lib/asterisk/modules/{name}.so" for name in ("app_dial", "chan_pjsip"))).core(),
    DeadProcess(without=(NT_FILE, NT_PRSTATUS)).core(),
    DeadProcess(command_line="../" * 20, mapped=("/srv/../../etc/passwd", "/dev/zero", "")).core(),
    elf_file(FORMS[0], FileType.CORE, [], count=0xFFFF, sections=64),
)
NAMES = frozenset(("asterisk",))


@given(mutated(SEEDS))
@example(b"\x7fELF")
def test_a_core_is_read_or_rejected(core: bytes) -> None:
    with os.fdopen(os.memfd_create("core"), "w+b", buffering=0) as file:
        file.write(core)
        try:
            facts = core_notes.read_facts(file.fileno())
        except NotACore:
            return
    assert CRASH_ID.fullmatch(facts.crash_id)
    assert to_plain(facts)["size"] == len(core)


@given(mutated(SEEDS))
@example(b"")
def test_the_objects_of_any_core_are_listed(core: bytes) -> None:
    with os.fdopen(os.memfd_create("core"), "w+b", buffering=0) as file:
        file.write(core)
        try:
            objects = build_ids.read_mapped_objects(file.fileno())
        except NotElf:
            return
    assert build_ids.format_objects(objects).startswith("Program and modules in use")


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated(SEEDS))
def test_a_file_is_a_candidate_or_remains_unchanged(tmp_path: Path, core: bytes) -> None:
    (tmp_path / "core").write_bytes(core)

    finding = examine(str(tmp_path), "core", NAMES)

    if isinstance(finding, Candidate):
        os.close(finding.descriptor)
    assert isinstance(finding, Finding)
    assert (tmp_path / "core").read_bytes() == core
