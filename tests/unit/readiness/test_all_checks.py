"""The overall result of all checks."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.readiness.all_checks import run_checks
from astbtd.readiness.facts import STOPPED, Facts, Gdb
from astbtd.readiness.gather.debug_files import Debuginfod
from astbtd.readiness.result import NEVER_FAILING, Check, Name, State, Unknown, make_readiness
from astbtd.settings import RetentionSettings
from tests.support.harmless import harmless
from tests.support.readiness_facts import HOST, INSTANCE, directory, instance, kernel, process, unit

LIMITS = RetentionSettings()


def test_without_problems_every_check_is_ok_in_the_order_of_the_names() -> None:
    readiness = run_checks(Facts(HOST, [INSTANCE]), LIMITS)

    assert readiness.usable is True
    assert [(check.state, check.remedy) for check in readiness.checks] == len(readiness.checks) * [(State.OK, None)]
    assert [check.name for check in readiness.checks] == [
        name for name in Name if name not in ("systemd-coredump", "foreign", "debuginfod")
    ]


@pytest.mark.parametrize("name", [name for name in Name if name not in NEVER_FAILING])
def test_one_failed_check_makes_the_result_negative(name: Name) -> None:
    undecided = Check(Name.ASTERISK, State.UNKNOWN, "")

    assert make_readiness([undecided, Check(name, State.FAILED, "")]).usable is False


@pytest.mark.parametrize("name", list(Name))
def test_an_unknown_check_that_could_fail_makes_the_result_unknown(name: Name) -> None:
    assert make_readiness([Check(name, State.UNKNOWN, "")]).usable is (True if name in NEVER_FAILING else None)


@pytest.mark.parametrize("name", list(Name))
def test_a_warning_does_not_change_the_result(name: Name) -> None:
    assert make_readiness([Check(name, State.WARNING, "")]).usable is True


def test_with_several_asterisks_the_checks_name_the_process() -> None:
    second = instance(process=process(pid=43, dumpable=False))

    readiness = run_checks(Facts(HOST, [INSTANCE, second]), LIMITS)

    found = [check for check in readiness.checks if check.name is Name.DUMPABLE]
    assert [(check.state, check.found.split(":")[0]) for check in found] == [("ok", "pid 42"), ("failed", "pid 43")]
    assert readiness.usable is False
    assert sum(check.name is Name.GDB for check in readiness.checks) == 1


def test_debuginfod_is_checked_if_servers_are_configured() -> None:
    readiness = run_checks(Facts(replace(HOST, debuginfod=Debuginfod()), [INSTANCE]), LIMITS)

    assert Name.DEBUGINFOD in [check.name for check in readiness.checks]


def test_a_stopped_asterisk_makes_the_result_unknown() -> None:
    stopped = instance(process=STOPPED, console=STOPPED, directory=STOPPED, objects=STOPPED)

    readiness = run_checks(Facts(HOST, [stopped]), LIMITS)

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


def test_a_failed_check_of_the_host_makes_the_result_negative() -> None:
    no_gdb = replace(HOST, gdb=Gdb("gdb", None, python=False, problem="gdb is not installed"))

    assert run_checks(Facts(no_gdb, [INSTANCE]), LIMITS).usable is False


@pytest.mark.parametrize(
    ("pattern", "collections", "hidden"),
    [("core", (), "/var/lib/asterisk"), ("|/usr/bin/keep", ("/srv/cores",), "/srv/cores")],
)
def test_astbtd_service_must_be_able_to_access_the_directory_of_the_next_core(
    pattern: str, collections: tuple[str], hidden: str
) -> None:
    found = kernel(pattern, helper_runs=True, collections=collections)
    sandboxed = unit("astbtd.service", LoadState="loaded", ActiveState="active", InaccessiblePaths=hidden)
    asterisk = instance(directory=None) if collections else INSTANCE

    readiness = run_checks(Facts(replace(HOST, kernel=found, astbtd=sandboxed), [asterisk]), LIMITS)

    (check,) = (check for check in readiness.checks if check.name is Name.ASTBTD_UNIT)
    assert check.found == f"InaccessiblePaths={hidden} hides {hidden} from astbtd.service"


def test_if_all_facts_are_unknown_so_is_the_result() -> None:
    why = Unknown("nobody knows")
    host = replace(HOST, kernel=why, coredump=why, gdb=why, store=why, journal_persistent=why, astbtd=why)
    blank = instance(process=why, console=why, configured_dumpcore=why, directory=why, program=why, objects=why)

    readiness = run_checks(Facts(host, [replace(blank, unit=None, manager=None)]), LIMITS)

    assert readiness.usable is None
    assert {check.state for check in readiness.checks if check.name is not Name.SANDBOX} == {State.UNKNOWN}


def test_the_manual_explains_every_check_and_marks_those_that_never_fail() -> None:
    manual = (Path(__file__).parents[3] / "man" / "astbtd.8").read_text().replace("\\-", "-")
    listed = re.findall(r"^([a-z-]+)( \*)? {2,}\S", manual.partition(".SH CHECKS")[2].partition(".SH")[0], re.MULTILINE)

    assert [name for name, _ in listed] == list(Name)
    assert {name for name, mark in listed if mark} == NEVER_FAILING


@given(name=st.text())
def test_no_directory_name_causes_a_second_line_or_controls_the_terminal(name: str) -> None:
    strange = instance(directory=directory(path=f"/{name}", mode=0))

    checks = run_checks(Facts(HOST, [strange]), LIMITS).checks

    assert all(harmless(check.found) and harmless(check.remedy or "") for check in checks)
