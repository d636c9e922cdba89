"""The reports of apport are read as documented, and nothing else passes for one."""

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.sources.collectors import apport_report
from astbtd.sources.collectors.apport_report import Malformed
from astbtd.sources.decompression import DamagedStream
from tests.support.builders import DeadProcess
from tests.support.fixture_types import OpenFile
from tests.support.packed import FIELDS, report

CORE = DeadProcess().core() + bytes(3 << 20) + b"end"


def core(content: bytes, memory_file: OpenFile) -> bytes:
    return b"".join(apport_report.core(memory_file(content)))


def test_the_core_comes_out_as_it_went_in(memory_file: OpenFile) -> None:
    assert core(report(CORE), memory_file) == CORE


def test_fields_that_were_added_behind_the_core_are_not_of_it(memory_file: OpenFile) -> None:
    assert core(report(CORE) + b"Package: asterisk 1:20\nTags: noble\n", memory_file) == CORE


def test_fields_are_read_with_all_their_lines(memory_file: OpenFile) -> None:
    fields = apport_report.fields(memory_file(report(CORE)))

    assert fields == {key: value.encode() for key, value in FIELDS.items()}


def test_a_report_without_a_core_has_none(memory_file: OpenFile) -> None:
    assert not apport_report.has_core(memory_file(b"ProblemType: Crash\nTraceback: line 1\n line 2\n"))


def test_a_value_cannot_pass_for_the_core(memory_file: OpenFile) -> None:
    forged = report(CORE, {**FIELDS, "ProcCmdline": "x\nCoreDump: base64\nH4sI"})

    assert core(forged, memory_file) == CORE


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (b"ProblemType: Crash\nno field\nCoreDump: base64\n H4sI\n", "one of its lines is no field"),
        (b"ProblemType: Crash\nSignal: 6\nSignal: 11\nCoreDump: base64\n H4sI\n", "it has two fields Signal"),
        (b"ProblemType: Crash\n" + b"Ke\xff: 1\nCoreDump: base64\n H4sI\n", "one of its lines is no field"),
    ],
)
def test_what_is_wrong_with_the_fields_is_said(wrong: bytes, what: str, memory_file: OpenFile) -> None:
    with pytest.raises(Malformed, match=what):
        apport_report.fields(memory_file(wrong))


@pytest.mark.parametrize("value", [b" ****\n", b" H4s\n", b" H4sI=H4sI\n", b" AAAA\n", b""])
def test_what_is_wrong_with_the_core_is_said(value: bytes, memory_file: OpenFile) -> None:
    with pytest.raises((Malformed, DamagedStream)):
        core(b"ProblemType: Crash\nCoreDump: base64\n" + value, memory_file)


def test_fields_without_an_end_are_not_read_for_ever(memory_file: OpenFile) -> None:
    endless = memory_file(b"ProblemType: Crash\n" + b" x" * (20 << 19))

    with pytest.raises(Malformed, match="longer than 16 MiB"):
        apport_report.fields(endless)


@given(st.binary(max_size=300))
def test_junk_is_malformed_or_damaged_and_nothing_worse(junk: bytes) -> None:
    descriptor = os.memfd_create("junk")
    os.write(descriptor, b"ProblemType: Crash\nCoreDump: base64\n " + junk)

    with open(descriptor), suppress(Malformed, DamagedStream):
        b"".join(apport_report.core(descriptor))
