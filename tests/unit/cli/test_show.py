"""`astbtd show`: a report, a section, a record, a directory."""

import json

import pytest

from astbtd.codec import plain
from tests.builders import crash

from .conftest import Keep, Run


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
