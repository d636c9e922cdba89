"""Whatever the writer of claim files writes, their reader reads; attempts to process a core are counted durably."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astbtd.claims import claim_file
from astbtd.claims.claim_file import LARGEST_CLAIM, ClaimFiles, ClaimRecord
from astbtd.claims.core_filter import Candidate, CoreFilter
from astbtd.elf.headers import FileType
from astbtd.model.crash import CoreFacts, DiscoveredBy, IdentityFrom, LostCore, Process, SentBy, Signal
from tests.support.builders import NOON, NT_FILE, PT_NOTE, DeadProcess, Part, elf_file, facts

FORM = DeadProcess().form
TEXTS = st.text(st.characters(), max_size=30) | st.sampled_from(["", "\udcff" * 4000, '"\\\n', "\x1b" * 65_536])
NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1)
PROCESSES = st.builds(
    Process,
    pid=NUMBERS | st.none(),
    uid=NUMBERS | st.none(),
    executable=TEXTS | st.none(),
    command_line=TEXTS | st.none(),
    cwd=TEXTS | st.none(),
    container=st.booleans() | st.none(),
)
FACTS = st.builds(
    CoreFacts,
    identity=st.just("0f" * 16),
    identity_from=st.sampled_from(IdentityFrom),
    crashed_at=st.integers(0, 10**12).map(lambda milliseconds: NOON + timedelta(milliseconds=milliseconds)),
    size=NUMBERS,
    truncated=st.booleans(),
    process=PROCESSES,
    signal=st.builds(Signal, NUMBERS, TEXTS, NUMBERS | st.none(), TEXTS | st.none()) | st.none(),
    objects=st.lists(TEXTS, max_size=5).map(tuple),
    site=TEXTS | st.none(),
    sent_by=st.builds(SentBy, NUMBERS, NUMBERS) | st.none(),
    omitted=st.integers(0),
)
RECORDS = st.builds(
    ClaimRecord,
    facts=FACTS,
    directory=TEXTS,
    name=TEXTS,
    found=st.sampled_from(DiscoveredBy),
    inode=NUMBERS,
    copied=st.booleans(),
    quiet=st.booleans(),
    source=TEXTS,
    packed=TEXTS | st.none(),
    loss=st.builds(LostCore, reason=TEXTS, remedy=TEXTS) | st.none(),
    leave=st.booleans(),
    foreign=st.booleans(),
)


@pytest.fixture
def claim_files(tmp_path: Path) -> ClaimFiles:
    return ClaimFiles(tmp_path)


def write_and_read(claim_files: ClaimFiles, record: ClaimRecord) -> ClaimRecord:
    """Return a record as it is read from the file that is written."""
    crash_id = facts().crash_id
    with open(claim_files.write(crash_id, record), "rb") as file:
        assert claim_files.path(crash_id).stat().st_size <= LARGEST_CLAIM
        read = claim_file.read(file.fileno())
    claim_files.remove(crash_id)
    return read


def a_record(objects: tuple[str, ...] = ()) -> ClaimRecord:
    return ClaimRecord(replace(facts(), objects=objects), "/srv", "core", DiscoveredBy.EVENT, 1, copied=False)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=30)
@given(record=RECORDS)
def test_every_record_that_is_written_is_read_unchanged(claim_files: ClaimFiles, record: ClaimRecord) -> None:
    assert write_and_read(claim_files, record) == record


@pytest.mark.parametrize("path", [b"/usr/lib/a.so", b"\xff" * 4000, b"x" * 70_000, b"\x01"])
@pytest.mark.parametrize("count", [1, 20_000])
def test_the_record_of_every_core_is_read_whatever_names_it_contains(
    claim_files: ClaimFiles, tmp_path: Path, path: bytes, count: int
) -> None:
    count = min(count, (4 << 20) // len(path))
    names = b"".join(b"%s%d\0" % (path, number) for number in range(count))
    mapped = FORM.note(b"CORE", NT_FILE, FORM.pack("PP", count, 4096) + FORM.pack("PPP", 0, 1, 0) * count + names)
    core = elf_file(FORM, FileType.CORE, [Part(PT_NOTE, 0, mapped + DeadProcess().notes())])
    (tmp_path / "core").write_bytes(core)

    finding = CoreFilter(None).examine(str(tmp_path), "core")

    assert isinstance(finding, Candidate), finding
    with open(finding.descriptor, "rb"):
        record = ClaimRecord(finding.facts, str(tmp_path), "core", DiscoveredBy.EVENT, 1, copied=False)
        assert write_and_read(claim_files, record) == record
    assert len(finding.facts.objects) + finding.facts.omitted == (count if len(path) <= 4096 else 0)


def test_a_record_that_would_be_too_large_is_written_without_names(claim_files: ClaimFiles) -> None:
    names = tuple(f"/usr/lib/{number:0100}" for number in range(90_000))

    read = write_and_read(claim_files, a_record(names))

    assert (read.facts.objects, read.facts.omitted) == ((), 90_000)


def test_attempts_are_counted_until_one_is_completed(claim_files: ClaimFiles) -> None:
    with open(claim_files.write("20261122T120000Z-1-0f0f0f", a_record()), "r+b") as file:
        lock = file.fileno()
        assert [claim_file.begin_attempt(lock) for _ in range(3)] == [0, 1, 2]
        assert claim_file.read(lock) == a_record()

        claim_file.end_attempts(lock)

        assert claim_file.begin_attempt(lock) == 0
        assert claim_file.read(lock) == a_record()


def test_a_file_of_an_earlier_version_has_no_attempts(claim_files: ClaimFiles) -> None:
    with open(claim_files.write("20261122T120000Z-1-0f0f0f", a_record()), "r+b") as file:
        assert claim_file.begin_attempt(file.fileno()) == 0
