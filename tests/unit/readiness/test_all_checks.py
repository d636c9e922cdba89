"""What all checks together answer."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.readiness.all_checks import answer
from astbtd.readiness.facts import STOPPED, Facts, Gdb
from astbtd.readiness.result import NEVER_FAILING, Check, Name, State, Unknown, judged
from astbtd.settings import RetentionSettings
from tests.support.harmless import harmless
from tests.support.readiness_facts import INSTANCE, MACHINE, directory, instance, kernel, process, unit

LIMITS = RetentionSettings()


def test_where_nothing_is_wrong_every_check_is_ok_in_the_order_of_the_names() -> None:
    readiness = answer(Facts(MACHINE, [INSTANCE]), LIMITS)

    assert readiness.usable is True
    assert [(check.state, check.remedy) for check in readiness.checks] == len(readiness.checks) * [(State.OK, None)]
    assert [check.name for check in readiness.checks] == [name for name in Name if name != "systemd-coredump"]


@pytest.mark.parametrize("name", [name for name in Name if name not in NEVER_FAILING])
def test_one_failed_check_is_enough_for_no(name: Name) -> None:
    open_ = Check(Name.ASTERISK, State.UNKNOWN, "")

    assert judged([open_, Check(name, State.FAILED, "")]).usable is False


@pytest.mark.parametrize("name", list(Name))
def test_what_is_unknown_leaves_the_answer_open_where_it_could_have_failed(name: Name) -> None:
    assert judged([Check(name, State.UNKNOWN, "")]).usable is (True if name in NEVER_FAILING else None)


@pytest.mark.parametrize("name", list(Name))
def test_a_warning_changes_nothing(name: Name) -> None:
    assert judged([Check(name, State.WARNING, "")]).usable is True


def test_of_several_asterisks_each_has_its_checks_and_is_named_in_them() -> None:
    second = instance(process=process(pid=43, dumpable=False))

    readiness = answer(Facts(MACHINE, [INSTANCE, second]), LIMITS)

    found = [check for check in readiness.checks if check.name is Name.DUMPABLE]
    assert [(check.state, check.found.split(":")[0]) for check in found] == [("ok", "pid 42"), ("failed", "pid 43")]
    assert readiness.usable is False
    assert sum(check.name is Name.GDB for check in readiness.checks) == 1


def test_a_stopped_asterisk_leaves_it_open() -> None:
    stopped = instance(process=STOPPED, console=STOPPED, directory=STOPPED, objects=STOPPED)

    readiness = answer(Facts(MACHINE, [stopped]), LIMITS)

    unknown = {check.name.value for check in readiness.checks if check.state is State.UNKNOWN}
    assert readiness.usable is None
    assert unknown >= {
        "asterisk",
        "core-limit",
        "dumpable",
        "core-directory",
        "blocked-core",
        "core-space",
        "up-to-date",
    }


def test_what_stops_the_machine_stops_all() -> None:
    no_gdb = replace(MACHINE, gdb=Gdb("gdb", None, python=False, problem="gdb is not installed"))

    assert answer(Facts(no_gdb, [INSTANCE]), LIMITS).usable is False


@pytest.mark.parametrize(
    ("pattern", "kept_in", "hidden"),
    [("core", (), "/var/lib/asterisk"), ("|/usr/bin/keep", ("/srv/cores",), "/srv/cores")],
)
def test_our_own_unit_has_to_see_where_the_next_core_will_be(pattern: str, kept_in: tuple[str], hidden: str) -> None:
    found = kernel(pattern, helper=True, kept_in=kept_in)
    sandboxed = unit("astbtd.service", LoadState="loaded", ActiveState="active", InaccessiblePaths=hidden)
    asterisk = instance(directory=None) if kept_in else INSTANCE

    readiness = answer(Facts(replace(MACHINE, kernel=found, astbtd=sandboxed), [asterisk]), LIMITS)

    (check,) = (check for check in readiness.checks if check.name is Name.ASTBTD_UNIT)
    assert check.found == f"InaccessiblePaths={hidden} hides {hidden} from astbtd.service"


def test_nothing_known_of_anything_is_an_answer_too() -> None:
    why = Unknown("nobody knows")
    machine = replace(MACHINE, kernel=why, coredump=why, gdb=why, store=why, journal_persistent=why, astbtd=why)
    blank = instance(process=why, console=why, configured_dumpcore=why, directory=why, program=why, objects=why)

    readiness = answer(Facts(machine, [replace(blank, unit=None, manager=None)]), LIMITS)

    assert readiness.usable is None
    assert {check.state for check in readiness.checks} == {State.UNKNOWN}


def test_the_manual_explains_every_check_and_marks_those_that_never_fail() -> None:
    manual = (Path(__file__).parents[3] / "man" / "astbtd.8").read_text().replace("\\-", "-")
    listed = re.findall(r"^([a-z-]+)( \*)? {2,}\S", manual.partition(".SH CHECKS")[2].partition(".SH")[0], re.MULTILINE)

    assert [name for name, _ in listed] == list(Name)
    assert {name for name, mark in listed if mark} == NEVER_FAILING


@given(name=st.text())
def test_no_name_of_a_directory_makes_a_second_line_or_steers_a_terminal(name: str) -> None:
    strange = instance(directory=directory(path=f"/{name}", mode=0))

    checks = answer(Facts(MACHINE, [strange]), LIMITS).checks

    assert all(harmless(check.found) and harmless(check.remedy or "") for check in checks)
