"""`astbtd show`: a report, a section, a record, a directory."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from astbtd.cli.common import local
from astbtd.lib.serialization import plain
from astbtd.model.crash import RECORD_FILE, CoreState, Crash
from tests.support.builders import NOON, crash
from tests.unit.cli.conftest import Keep, Run


def test_without_an_id_it_is_the_report_of_the_newest(astbtd: Run, keep: Keep) -> None:
    keep(crash(1))
    keep(crash(2))

    answer = astbtd("show")

    assert (answer.code, answer.out) == (0, f"report of {crash(2).id}\n")


@pytest.mark.parametrize("selector", [crash(1).id, "20261122T1201", "-2"])
def test_an_id_selects_another(astbtd: Run, keep: Keep, selector: str) -> None:
    keep(crash(1))
    keep(crash(2))

    assert astbtd("show", selector).out == f"report of {crash(1).id}\n"


@pytest.mark.parametrize("name", ["backtrace", "thread1", "brief", "full", "locks", "info"])
def test_a_section_is_printed_raw(astbtd: Run, keep: Keep, name: str) -> None:
    keep(crash(), **{name: b"#0  main () \x1b[31m\n"})

    assert astbtd("show", "--section", name).out == "#0  main () \x1b[31m\n"


def test_a_section_that_is_no_unicode_is_printed_all_the_same(astbtd: Run, keep: Keep) -> None:
    keep(crash(), backtrace=b"caf\xe9\n")

    assert astbtd("show", "--section", "backtrace").out == "caf\ufffd\n"


def test_a_section_that_is_not_there_is_said_with_what_is(astbtd: Run, keep: Keep) -> None:
    keep(crash(), brief=b"")

    answer = astbtd("show", "--section", "full")

    assert answer.code == 3
    assert "has no full.txt" in answer.err
    assert "brief.txt, crash.json, report.txt" in answer.err


def test_a_section_that_does_not_exist_is_wrong_usage(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    answer = astbtd("show", "--section", "../../passwd")

    assert answer.code == 2
    assert "report" in answer.err


def without_core(one: Crash) -> Crash:
    return replace(one, core=replace(one.core, state=CoreState.REMOVED, removed_at=NOON + timedelta(days=14)))


def test_a_core_that_is_removed_is_said_below_the_report(astbtd: Run, keep: Keep) -> None:
    keep(without_core(crash()))

    moment = local(NOON + timedelta(days=14))
    assert astbtd("show").out == f"report of {crash().id}\n\nRemoved: the core on {moment}\n"


def test_of_a_crash_without_texts_the_record_tells_what_it_can(astbtd: Run, keep: Keep) -> None:
    directory = keep(replace(without_core(crash()), texts_removed_at=NOON + timedelta(days=365)))
    (directory / "report.txt").unlink()

    answer = astbtd("show")

    assert answer.code == 0
    assert answer.out.startswith("Asterisk crashed: SIGSEGV (Segmentation fault, address 0x10) in ast_bridge_join\n")
    assert "Seen:      for the first time" in answer.out
    moments = (local(NOON + timedelta(days=days)) for days in (14, 365))
    assert answer.out.endswith("\nRemoved: the core on {}, the texts on {}\n".format(*moments))


def test_texts_whose_removal_was_interrupted_are_not_shown(astbtd: Run, keep: Keep) -> None:
    keep(replace(crash(), texts_removed_at=NOON))

    assert "report of" not in astbtd("show").out


def test_a_section_that_is_removed_is_said_with_its_time(astbtd: Run, keep: Keep) -> None:
    keep(replace(crash(), texts_removed_at=NOON))

    answer = astbtd("show", "--section", "full")

    assert (answer.code, answer.out) == (3, "")
    assert f"the texts of crash {crash().id} were removed on {local(NOON)}" in answer.err


def test_the_report_of_a_damaged_record_is_shown_all_the_same(astbtd: Run, keep: Keep) -> None:
    (keep(crash()) / RECORD_FILE).write_text("{")

    assert astbtd("show").out == f"report of {crash().id}\n"


def test_json_is_the_whole_record(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    assert json.loads(astbtd("show", "--json").out) == plain(crash())


def test_path_is_the_directory_and_nothing_else(astbtd: Run, keep: Keep) -> None:
    directory = keep(crash())

    assert astbtd("show", "--path").out == f"{directory}\n"


@pytest.mark.parametrize("selector", ["latest", "-1", "2026", crash().id])
def test_in_an_empty_store_nothing_matches(astbtd: Run, selector: str) -> None:
    answer = astbtd("show", selector)

    assert (answer.code, answer.out) == (3, "")
    assert "astbtd check-config" in answer.err


def test_one_form_at_a_time(astbtd: Run) -> None:
    assert astbtd("show", "--json", "--path").code == 2
