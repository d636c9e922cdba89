"""`astbtd check`: one line per check, the overall result, the exit code."""

import json
from dataclasses import replace

import pytest

from astbtd.cli.commands import check
from astbtd.readiness.facts import STOPPED, Facts, Gdb
from tests.support.cli_types import Run
from tests.support.readiness_facts import HOST, INSTANCE, instance, process

NO_GDB = replace(HOST, gdb=Gdb("gdb", None, python=False, problem="gdb is not installed"))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """The facts that are gathered; the last element of the list is used."""
    facts = [Facts(HOST, [INSTANCE])]
    monkeypatch.setattr(check, "gather_facts", lambda *_: facts[-1])
    return facts


@pytest.mark.usefixtures("found")
def test_one_line_per_check_and_the_result(astbtd: Run) -> None:
    answer = astbtd("check")

    lines = answer.out.splitlines()
    assert (answer.code, lines[-1]) == (0, "ready: the next crash should give a usable backtrace")
    assert "ok       dumpcore           -g is given" in lines
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}


def test_a_failed_check_is_shown_with_a_hint_and_sets_the_exit_code(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(NO_GDB, [instance(process=process(dumpable=False))]))

    answer = astbtd("check")

    lines = answer.out.splitlines()
    assert (answer.code, lines[-1]) == (4, "not ready: the next crash will not give a usable backtrace: dumpable, gdb")
    assert "failed   gdb                gdb is not installed; hint: apt install gdb" in lines


def test_warnings_are_mentioned_but_are_no_failure(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(replace(HOST, journal_persistent=False), [INSTANCE]))

    answer = astbtd("check")

    assert answer.code == 0
    last_line = answer.out.splitlines()[-1]
    assert last_line == "ready: the next crash should give a usable backtrace (fix the warnings for a better one)"


def test_unknown_checks_are_no_failure(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(HOST, [instance(process=STOPPED, objects=STOPPED)]))

    answer = astbtd("check")

    assert answer.code == 0
    unknown = "asterisk, core-limit, dumpable, core-directory, blocked-core, core-space, up-to-date"
    assert answer.out.endswith(f"unknown: cannot tell whether the next crash will give a usable backtrace: {unknown}\n")


def test_as_json(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(NO_GDB, [INSTANCE]))

    answer = astbtd("check", "--json")

    document = json.loads(answer.out)
    assert (answer.code, document["usable"]) == (4, False)
    (failed,) = [each for each in document["checks"] if each["state"] == "failed"]
    assert failed == {
        "name": "gdb",
        "state": "failed",
        "found": "gdb is not installed",
        "remedy": "apt install gdb",
    }


@pytest.mark.usefixtures("found")
def test_colors_are_used_only_on_a_terminal_without_no_color(astbtd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in astbtd("check").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\x1b[32mok      \x1b[0m dumpcore" in astbtd("check").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in astbtd("check").out
