"""What collectors tell: names of files, attributes, small files, fields of reports, entries of the journal."""

import contextlib
import os
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd.model.crash import CRASH_ID
from astbtd.sources.collectors import collector, systemd_coredump
from astbtd.sources.collectors.abrt import Abrt
from astbtd.sources.collectors.apport import Apport
from astbtd.sources.collectors.collector import Collector, InconsistentMetadata, attested
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
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
VALUES = mutated((b"4242", b"11", b"1763812800000000", b"-1", b"1e9", b"99999999999999999999", b"asterisk", b" 1\n"))
ELEMENTS = ("time", "cmdline", "pwd", "rootdir", "uid")
TELLING = mutated((b"1763812800", b"/usr/sbin/asterisk -g", b"/var/lib/asterisk", b"/", b"1e400", b"\xff\0"))
JOURNAL = ("COREDUMP_FILENAME", "COREDUMP_CMDLINE", "COREDUMP_CWD", "COREDUMP_CONTAINER_CMDLINE", "_SYSTEMD_UNIT")
COLLECTORS: tuple[Collector, ...] = (SystemdCoredump(), Apport(), Abrt())

here = limits(suppress_health_check=[HealthCheck.function_scoped_fixture])


def believed(told: collector.CollectorMetadata) -> None:
    """What is told goes into a crash's facts, or contradicts them."""
    with contextlib.suppress(InconsistentMetadata):
        assert CRASH_ID.fullmatch(attested(facts(), told, 1_800_000_000.0).crash_id)


@here
@given(st.sampled_from(COLLECTORS), mutated(NAMES))
def test_a_name_is_a_collectors_or_nobodys(tmp_path: Path, whose: Collector, name: bytes) -> None:
    entry = os.fsdecode(name.replace(b"\0", b"")) or "x"

    for found in whose.cores(str(tmp_path), entry):
        assert ".." not in found.split("/")
        assert found.split("/")[0] == entry


@here
@given(mutated(NAMES[:2]), st.dictionaries(st.sampled_from(ATTRIBUTES), VALUES, max_size=4))
def test_attributes_are_believed_or_implausible(tmp_path: Path, name: bytes, attributes: dict[str, bytes]) -> None:
    core = tmp_path / "core"
    core.unlink(missing_ok=True)
    core.write_bytes(b"")
    for what, value in attributes.items():
        os.setxattr(core, f"user.coredump.{what}", value)
    with core.open("rb") as file, contextlib.suppress(InconsistentMetadata):
        believed(SystemdCoredump().testimony(file.fileno(), str(tmp_path), os.fsdecode(name)))


@here
@given(st.dictionaries(st.sampled_from(ELEMENTS), TELLING))
def test_the_small_files_of_abrt_are_believed_or_implausible(tmp_path: Path, elements: dict[str, bytes]) -> None:
    for name in ELEMENTS:
        (tmp_path / name).unlink(missing_ok=True)
        if name in elements:
            (tmp_path / name).write_bytes(elements[name])
    with contextlib.suppress(InconsistentMetadata):
        believed(Abrt().testimony(-1, str(tmp_path.parent), f"{tmp_path.name}/coredump"))


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), VALUES | TELLING | st.binary(max_size=40)))
def test_the_fields_of_apport_are_believed_or_implausible(fields: dict[str, bytes]) -> None:
    written = {**FIELDS, **{name: os.fsdecode(value) for name, value in fields.items()}}
    with os.fdopen(os.memfd_create("report"), "w+b", buffering=0) as file:
        file.write(report(DeadProcess().core(), written))
        with contextlib.suppress(InconsistentMetadata):
            believed(Apport().testimony(file.fileno(), "/var/crash", "_usr_sbin_asterisk.110.crash"))


@given(st.dictionaries(st.sampled_from(JOURNAL), TELLING.map(os.fsdecode) | st.binary() | st.integers()))
def test_entries_of_the_journal_are_believed_or_not(entry: dict[str, object]) -> None:
    unit = {"_SYSTEMD_UNIT": "systemd-coredump@1-2-0.service", "COREDUMP_FILENAME": f"/x/{COREDUMP.decode()}"}

    for each in (entry, {**entry, **unit}):
        if told := systemd_coredump.told_by_journal(each, COREDUMP.decode()):
            believed(told)
