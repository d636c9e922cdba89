"""Which messages are about one death of the PBX, and which crash a death is."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from astbtd.claims.core_filter import OtherCore
from astbtd.claims.deaths import Death, EndedProcess, death_record, find_deaths, find_replacement
from astbtd.model.crash import SiteFrame
from astbtd.sources.death_messages import KernelMessage, UnitExit
from tests.support.builders import NOON

UNITS, EXECUTABLES = {"asterisk.service"}, ("asterisk",)


def unit(seconds: float = 1, signal: str = "SIGSEGV", name: str = "asterisk.service") -> UnitExit:
    return UnitExit(later(seconds), "boot", name, f"invocation {seconds}", signal, dumped=False)


def fault(seconds: float = 0, task: int = 4243, name: str = "asterisk") -> KernelMessage:
    return KernelMessage(later(seconds), "boot", task, name, "SIGSEGV", False, "segfault", "app_dial.so", 0x1234)


def out_of_memory(task: int = 4242) -> KernelMessage:
    return KernelMessage(NOON, "boot", task, "asterisk", "SIGKILL", True, "Killed process")


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def deaths(*messages: KernelMessage | UnitExit, ended: tuple[int, ...] = ()) -> list[Death]:
    processes = [EndedProcess(pid, later(-600), later(600)) for pid in ended]
    return list(find_deaths(messages, UNITS, processes, EXECUTABLES))


def test_two_messages_about_one_death_are_one_death() -> None:
    assert deaths(fault(), unit(), ended=(100, 4242, 5000)) == [Death(unit(), fault(), 4242)]


def test_each_of_two_deaths_has_its_own_line_of_the_kernel() -> None:
    found = deaths(fault(0, 10), unit(1), fault(5, 20), unit(6))

    assert [(death.unit, death.message) for death in found] == [(unit(1), fault(0, 10)), (unit(6), fault(5, 20))]


def test_a_line_of_the_kernel_alone_counts_for_a_process_that_was_the_pbx() -> None:
    assert deaths(fault(), out_of_memory(), ended=(4242,)) == [
        Death(None, fault(), 4242),
        Death(None, out_of_memory(), 4242),
    ]
    assert deaths(fault(), out_of_memory(7)) == []
    assert deaths(fault(name="perl"), ended=(4242,)) == []


def test_a_death_in_a_container_has_the_process_id_that_the_core_has() -> None:
    ended = [EndedProcess(4242, later(-600), later(600), inner_pid=7)]

    found = list(find_deaths([fault(), out_of_memory()], UNITS, ended, EXECUTABLES))

    assert [death.pid for death in found] == [7, 7]
    assert found[0].is_crash(7, NOON)


@pytest.mark.parametrize(("seconds", "counts"), [(-121, False), (-100, True), (600, True), (611, False)])
def test_a_line_of_the_kernel_counts_only_from_when_a_process_of_the_pbx_ended(seconds: float, counts: bool) -> None:
    ended = [EndedProcess(4242, seen_at=NOON, missed_at=later(600))]

    assert bool(list(find_deaths([fault(seconds)], UNITS, ended, EXECUTABLES))) is counts


def test_a_kill_counts_only_if_the_kernel_was_out_of_memory() -> None:
    assert deaths(unit(signal="SIGKILL")) == []
    assert deaths(out_of_memory(), unit(signal="SIGKILL")) == [Death(unit(signal="SIGKILL"), out_of_memory(), None)]


def test_other_units_do_not_count() -> None:
    assert deaths(unit(name="other.service")) == []


def test_a_crash_is_a_death_by_its_process_or_else_by_its_time() -> None:
    with_pid, without_pid = Death(unit(), fault(), 4242), Death(unit(), None, None)

    assert with_pid.is_crash(4242, later(100))
    assert not with_pid.is_crash(4243, NOON)
    assert not with_pid.is_crash(4242, later(-100))
    assert without_pid.is_crash(7, later(10))
    assert not without_pid.is_crash(7, later(12))


def test_the_record_has_a_stable_identity_and_where_the_process_crashed() -> None:
    record = death_record(Death(unit(), fault(), 4242))

    assert record == death_record(Death(unit(), fault(), 4242))
    assert record.facts.identity != death_record(Death(unit(2), fault(), 4242)).facts.identity
    assert record.facts.crash_id == f"20261122T120000Z-4242-{record.facts.identity[:6]}"
    assert record.loss is not None
    assert (record.loss.is_none, record.loss.frame) == (True, SiteFrame(None, "app_dial.so", "0x1234"))


def test_without_memory_no_core_could_be_written() -> None:
    record = death_record(Death(unit(signal="SIGKILL"), out_of_memory(), 4242))

    assert record.loss is not None
    assert "out of memory" in record.loss.reason
    assert "MemoryMax" in record.loss.remedy


CANARY = OtherCore("/var/lib/asterisk/core", "/usr/sbin/astcanary", 4300, later(0))
DUMPED = Death(replace(unit(signal="SIGABRT"), dumped=True), None, None)


def test_a_core_of_another_program_of_that_moment_has_replaced_the_one_of_the_pbx() -> None:
    record = death_record(DUMPED, find_replacement(DUMPED, [CANARY]))

    assert record.path == "/var/lib/asterisk/core"
    assert record.loss is not None
    assert record.loss.is_none is False
    assert "/usr/sbin/astcanary dumped core at the same time" in record.loss.reason
    assert "kernel.core_uses_pid=1" in record.loss.remedy


@pytest.mark.parametrize(
    ("death", "core"),
    [
        (DUMPED, replace(CANARY, crashed_at=later(-20))),
        (DUMPED, replace(CANARY, path="/var/lib/asterisk/core.4300")),
        (Death(unit(signal="SIGABRT"), None, None), CANARY),  # the kernel wrote no core
        (Death(None, fault(), 4242), CANARY),
    ],
    ids=["of another time", "with a name of its own", "not dumped", "no message of the service manager"],
)
def test_other_cores_have_replaced_nothing(death: Death, core: OtherCore) -> None:
    assert find_replacement(death, [core]) is None
