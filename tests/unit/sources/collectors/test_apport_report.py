"""apport's reports are read as documented; anything else is malformed."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.lib.decompression import DamagedStream
from astbtd.sources.collectors import apport_report
from astbtd.sources.collectors.apport_report import MalformedReport
from tests.support.builders import DeadProcess
from tests.support.fixture_types import OpenFile
from tests.support.packed import FIELDS, report

CORE = DeadProcess().core() + bytes(3 << 20) + b"end"


def core(content: bytes, memory_file: OpenFile) -> bytes:
    return b"".join(apport_report.core(memory_file(content)))


def test_the_core_is_unpacked_unchanged(memory_file: OpenFile) -> None:
    assert core(report(CORE), memory_file) == CORE


def test_fields_after_the_core_are_not_part_of_it(memory_file: OpenFile) -> None:
    assert core(report(CORE) + b"Package: asterisk 1:20\nTags: noble\n", memory_file) == CORE


def test_fields_are_read_with_all_their_lines(memory_file: OpenFile) -> None:
    fields = apport_report.fields(memory_file(report(CORE)))

    assert fields == {key: value.encode() for key, value in FIELDS.items()}


def test_a_report_without_a_core_is_recognized(memory_file: OpenFile) -> None:
    assert not apport_report.has_core(memory_file(b"ProblemType: Crash\nTraceback: line 1\n line 2\n"))


def test_the_value_of_another_field_is_not_taken_for_the_core(memory_file: OpenFile) -> None:
    forged = report(CORE, {**FIELDS, "ProcCmdline": "x\nCoreDump: base64\nH4sI"})

    assert core(forged, memory_file) == CORE


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (b"ProblemType: Crash\nno field\nCoreDump: base64\n H4sI\n", "it contains a line that is not a field"),
        (b"ProblemType: Crash\nSignal: 6\nSignal: 11\nCoreDump: base64\n H4sI\n", "duplicate field Signal"),
        (b"ProblemType: Crash\n" + b"Ke\xff: 1\nCoreDump: base64\n H4sI\n", "it contains a line that is not a field"),
    ],
)
def test_invalid_fields_are_reported(invalid: bytes, message: str, memory_file: OpenFile) -> None:
    with pytest.raises(MalformedReport, match=message):
        apport_report.fields(memory_file(invalid))


@pytest.mark.parametrize("value", [b" ****\n", b" H4s\n", b" H4sI=H4sI\n", b" AAAA\n", b""])
def test_an_invalid_core_is_reported(value: bytes, memory_file: OpenFile) -> None:
    with pytest.raises((MalformedReport, DamagedStream)):
        core(b"ProblemType: Crash\nCoreDump: base64\n" + value, memory_file)


def test_endless_fields_are_not_read_forever(memory_file: OpenFile) -> None:
    endless = memory_file(b"ProblemType: Crash\n" + b" x" * (20 << 19))

    with pytest.raises(MalformedReport, match="longer than 16 MiB"):
        apport_report.fields(endless)


@given(st.binary(max_size=300))
def test_random_bytes_are_malformed_or_damaged(random: bytes) -> None:
    descriptor = os.memfd_create("random")
    os.write(descriptor, b"ProblemType: Crash\nCoreDump: base64\n " + random)

    with open(descriptor), suppress(MalformedReport, DamagedStream):
        b"".join(apport_report.core(descriptor))


def test_a_field_of_many_lines_is_read_once(tmp_path: Path) -> None:
    report = tmp_path / "x.crash"
    report.write_bytes(b"ProblemType: Crash\nX: a\n" + b" 1234567890123456789\n" * 400_000 + b"CoreDump: base64\n")
    with report.open("rb") as file:
        fields = apport_report.fields(file.fileno())

    assert fields["X"].count(b"\n") == 400_000
