"""The diagnosis of crashes of a real Asterisk, each caused by a test module."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.containers.asterisk import Crash
from tests.support.containers.machine import Machine, booted
from tests.support.containers.service import STORE, Record

HEAD_LINES = 10
"""The lines of a report that must contain the most important facts."""


@dataclass(frozen=True)
class Expected:
    """The expected diagnosis of a crash. `advice` are words that its advice must contain."""

    signal: str
    function: str
    memory_corruption: str
    advice: tuple[str, ...]


EXPECTED = {
    Crash.SEGV: Expected("SIGSEGV", "write_hangup_cause", "none", ("DONT_OPTIMIZE",)),
    Crash.ABORT: Expected("SIGABRT", "give_up", "none", ("DONT_OPTIMIZE",)),
    Crash.DOUBLE_FREE: Expected("SIGABRT", "release_leg", "certain", ("valgrind", "MALLOC_DEBUG")),
    Crash.SMASH: Expected("SIGABRT", "release_leg", "certain", ("valgrind", "MALLOC_DEBUG")),
}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """One machine for all crashes."""
    with booted() as machine:
        yield machine


@pytest.fixture(scope="module", params=Crash, ids=lambda how: how.value)
def how(request: pytest.FixtureRequest) -> Crash:
    """A way to crash."""
    return Crash(request.param)


@pytest.fixture(scope="module")
def record(machine: Machine, how: Crash) -> Record:
    """The record of a crash of this kind."""
    return machine.crash(how)


def test_the_crash_function_is_the_one_with_the_bug(record: Record, how: Crash) -> None:
    assert record["signal"]["name"] == EXPECTED[how].signal
    assert record["diagnosis"]["crash_function"] == EXPECTED[how].function


def test_memory_corruption_is_recognised(record: Record, how: Crash) -> None:
    assert record["diagnosis"]["memory_corruption"] == EXPECTED[how].memory_corruption


def test_the_advice_names_the_flag_or_tool(record: Record, how: Crash) -> None:
    advice = " ".join(record["diagnosis"]["advice"])
    assert [word for word in EXPECTED[how].advice if word not in advice] == []


def test_the_report_begins_with_what_happened_and_the_verdict(machine: Machine, record: Record, how: Crash) -> None:
    head = " ".join(machine.service.command("show", record["id"]).splitlines()[:HEAD_LINES])
    for what in (EXPECTED[how].signal, EXPECTED[how].function, record["diagnosis"]["verdict"]):
        assert what in head


def test_info_names_the_asterisk_and_the_modules_that_ran(machine: Machine, record: Record) -> None:
    info = machine.service.command("show", record["id"], "--section", "info")
    assert f"Version: {record['asterisk']['version']}\n" in info
    assert f"{record['process']['build_id']}  /usr/sbin/asterisk\n" in info
    assert "/asterisk/modules/res_astbtd_crash.so\n" in info


def test_info_names_what_is_missing_without_debug_information(machine: Machine, record: Record) -> None:
    info = machine.container.run("cat", f"{STORE}/crashes/{record['id']}/info.txt").stdout
    assert "Channels: unknown: this asterisk has no debug information" in info
    assert "0 active calls\n0 calls processed\n" in info
    assert "asterisk-dbgsym" in info
