"""Collector metadata under fuzzing: file names, attributes, elements, fields of reports, journal entries."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astbtd.model.crash import CRASH_ID
from astbtd.sources.collectors import abrt, apport, systemd_coredump
from astbtd.sources.collectors.collector import Collector, CollectorMetadata, InconsistentMetadata, merge_metadata
from astbtd.sources.collectors.registry import COLLECTORS
from tests.support.builders import DeadProcess, facts
from tests.support.mutations import mutated
from tests.support.packed import FIELDS, report

COREDUMP = b"core.asterisk.110." + b"0f" * 16 + b".4242.1763812800000000.zst"
NAMES = (
    COREDUMP,
    rb"core.\x2e\x2e\x2fasterisk.110." + b"0f" * 16 + b".4242.1763812800000000",
    b"_usr_sbin_asterisk.110.crash",
    b"core._usr_sbin_asterisk.110.0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f.4242.123456",
    b"ccpp-2026-11-22-12:00:00-4242",
    b"../../etc/passwd",
)
ATTRIBUTES = ("pid", "uid", "gid", "signal", "timestamp", "rlimit", "hostname", "comm", "exe")
NUMBERS = mutated((b"4242", b"11", b"1763812800000000", b"-1", b"1e9", b"99999999999999999999", b"asterisk", b" 1\n"))
ELEMENTS = ("time", "cmdline", "pwd", "rootdir", "uid")
TEXTS = mutated((b"1763812800", b"/usr/sbin/asterisk -g", b"/var/lib/asterisk", b"/", b"1e400", b"\xff\0"))
JOURNAL_FIELDS = (
    "COREDUMP_FILENAME",
    "COREDUMP_CMDLINE",
    "COREDUMP_CWD",
    "COREDUMP_CONTAINER_CMDLINE",
    "_SYSTEMD_UNIT",
)

shared_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_merge(metadata: CollectorMetadata) -> None:
    """Check that metadata can be merged into the facts of a crash, or is refused."""
    with contextlib.suppress(InconsistentMetadata):
        assert CRASH_ID.fullmatch(merge_metadata(facts(), metadata, 1_800_000_000.0).crash_id)


@shared_tmp_path
@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: collector.name)
@given(name=mutated(NAMES))
def test_a_core_is_always_below_its_directory_entry(tmp_path: Path, collector: Collector, name: bytes) -> None:
    entry = os.fsdecode(name.replace(b"\0", b"")) or "x"

    for found in collector.core_files(str(tmp_path), entry):
        assert ".." not in found.split("/")
        assert found.split("/")[0] == entry


@shared_tmp_path
@given(mutated(NAMES[:2]), st.dictionaries(st.sampled_from(ATTRIBUTES), NUMBERS, max_size=4))
def test_attributes_are_accepted_or_inconsistent(tmp_path: Path, name: bytes, attributes: dict[str, bytes]) -> None:
    core = tmp_path / "core"
    core.unlink(missing_ok=True)
    core.write_bytes(b"")
    for field, value in attributes.items():
        os.setxattr(core, f"user.coredump.{field}", value)

    with core.open("rb") as file, contextlib.suppress(InconsistentMetadata):
        collector = systemd_coredump.COLLECTOR
        check_merge(collector.read_metadata(file.fileno(), str(tmp_path), os.fsdecode(name)))


@shared_tmp_path
@given(st.dictionaries(st.sampled_from(ELEMENTS), TEXTS))
def test_the_elements_of_abrt_are_accepted_or_inconsistent(tmp_path: Path, elements: dict[str, bytes]) -> None:
    for name in ELEMENTS:
        (tmp_path / name).unlink(missing_ok=True)
        if name in elements:
            (tmp_path / name).write_bytes(elements[name])

    with contextlib.suppress(InconsistentMetadata):
        check_merge(abrt.COLLECTOR.read_metadata(-1, str(tmp_path.parent), f"{tmp_path.name}/coredump"))


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), NUMBERS | TEXTS | st.binary(max_size=40)))
def test_the_fields_of_apport_are_accepted_or_inconsistent(fields: dict[str, bytes]) -> None:
    written = {**FIELDS, **{name: os.fsdecode(value) for name, value in fields.items()}}
    with os.fdopen(os.memfd_create("report"), "w+b", buffering=0) as file:
        file.write(report(DeadProcess().core(), written))

        with contextlib.suppress(InconsistentMetadata):
            check_merge(apport.COLLECTOR.read_metadata(file.fileno(), "/var/crash", "_usr_sbin_asterisk.110.crash"))


@given(st.dictionaries(st.sampled_from(JOURNAL_FIELDS), TEXTS.map(os.fsdecode) | st.binary() | st.integers()))
def test_journal_entries_are_accepted_or_ignored(entry: dict[str, object]) -> None:
    genuine = {"_SYSTEMD_UNIT": "systemd-coredump@1-2-0.service", "COREDUMP_FILENAME": f"/x/{COREDUMP.decode()}"}

    for fields in (entry, {**entry, **genuine}):
        metadata = systemd_coredump.COLLECTOR.parse_journal_entry(fields, COREDUMP.decode())
        if metadata is not None:
            check_merge(metadata)
