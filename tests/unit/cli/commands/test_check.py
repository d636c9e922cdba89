"""`astbtd check`: one line per check, the answer, the exit code; what stands behind it is tested where it is."""

import json
from dataclasses import replace

import pytest

from astbtd.cli.commands import check
from astbtd.readiness.facts import STOPPED, Facts, Gdb
from tests.support.readiness_facts import INSTANCE, MACHINE, instance, process
from tests.unit.cli.conftest import Run

NO_GDB = replace(MACHINE, gdb=Gdb("gdb", None, python=False, problem="gdb is not installed"))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """The facts that are found; the last one in the list counts."""
    facts = [Facts(MACHINE, [INSTANCE])]
    monkeypatch.setattr(check, "facts", lambda *_: facts[-1])
    return facts


@pytest.mark.usefixtures("found")
def test_one_line_per_check_and_the_answer(astbtd: Run) -> None:
    answer = astbtd("check")

    lines = answer.out.splitlines()
    assert (answer.code, lines[-1]) == (0, "the next crash gives a usable backtrace")
    assert "ok       dumpcore           -g is given" in lines
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}


def test_what_fails_is_shown_with_its_remedy_and_by_the_exit_code(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(NO_GDB, [instance(process=process(dumpable=False))]))

    answer = astbtd("check")

    lines = answer.out.splitlines()
    assert (answer.code, lines[-1]) == (4, "the next crash gives no usable backtrace: dumpable, gdb")
    assert "failed   gdb                gdb is not installed; what helps: apt install gdb" in lines


def test_warnings_are_no_failure_and_not_forgotten(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(replace(MACHINE, journal_persistent=False), [INSTANCE]))

    answer = astbtd("check")

    assert answer.code == 0
    assert answer.out.endswith("the next crash gives a usable backtrace, a better one without the warnings\n")


def test_what_is_not_known_is_no_failure(astbtd: Run, found: list[Facts]) -> None:
    found.append(Facts(MACHINE, [instance(process=STOPPED, objects=STOPPED)]))

    answer = astbtd("check")

    assert answer.code == 0
    unknown = "asterisk, core-limit, dumpable, core-directory, blocked-core, core-space, up-to-date"
    assert answer.out.endswith(f"whether the next crash gives a usable backtrace is not known: {unknown}\n")


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
def test_colours_are_for_terminals_that_want_them(astbtd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in astbtd("check").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\x1b[32mok      \x1b[0m dumpcore" in astbtd("check").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in astbtd("check").out
