"""Packed cores under fuzzing: compressed or in an apport report; truncated, damaged and spliced into one another."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from astbtd.claims.core_filter import Candidate, Finding, examine
from astbtd.claims.private_copy import NotUnpacked, Unpacker
from astbtd.settings import UnpackingSettings
from astbtd.sources.collectors import apport_report
from astbtd.sources.collectors.apport_report import MalformedReport
from tests.support.builders import DeadProcess
from tests.support.mutations import mutated
from tests.support.packed import COMPRESS, FIELDS, report

CORE = DeadProcess().core()
SEEDS = (
    *(pack(CORE) for pack in COMPRESS.values()),
    *(pack(CORE) + pack(CORE) for pack in COMPRESS.values()),
    report(CORE),
    report(CORE, {"ProblemType": "Crash"}),
    report(CORE, {**FIELDS, "Signal": "-1", "Date": "Sun Nov 31 25:61:61 99999"}),
    COMPRESS["zst"](COMPRESS["gz"](CORE)),
    COMPRESS["zst"](report(CORE)),
    b"ProblemType: Crash\nCoreDump: base64\n H4sI\n =\n",
    b"ProblemType: Crash\nCoreDump: base64\n\n \n  \n",
    b"\x28\xb5\x2f\xfd" + b"\xff" * 64,  # a frame that asks for a window of exabytes
)
SIZE_LIMIT = 8 << 20
NAMES = frozenset(("asterisk",))


@contextlib.contextmanager
def in_memory(content: bytes) -> Iterator[int]:
    """Yield the descriptor of a file in memory with this content."""
    with os.fdopen(os.memfd_create("packed"), "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated(SEEDS))
def test_a_packed_file_is_a_candidate_or_is_not_touched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "core").write_bytes(content)

    finding = examine(str(tmp_path), "core", NAMES)

    if isinstance(finding, Candidate):
        os.close(finding.descriptor)
    assert isinstance(finding, Finding)
    assert (tmp_path / "core").read_bytes() == content


@given(mutated(SEEDS))
@example(COMPRESS["zst"](bytes(SIZE_LIMIT + 1)))
@example(COMPRESS["xz"](bytes(SIZE_LIMIT + 1)))
def test_unpacking_stays_within_the_limits(content: bytes) -> None:
    unpacker = Unpacker(UnpackingSettings(size=SIZE_LIMIT, ratio=500), lambda _: None, lambda: None)
    with in_memory(content) as packed, in_memory(b"") as target:
        with contextlib.suppress(NotUnpacked):
            unpacker.unpack(packed, target)
        assert os.fstat(target).st_size <= SIZE_LIMIT + (1 << 20)


@given(mutated(SEEDS) | st.binary())
def test_the_fields_of_a_report_are_parsed_or_malformed(content: bytes) -> None:
    with in_memory(content) as descriptor, contextlib.suppress(MalformedReport):
        assert all(isinstance(value, bytes) for value in apport_report.fields(descriptor).values())
