"""`astbtd show`: report, sections, record and directory of a crash."""

import json
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from astbtd.cli.commands.show import SECTIONS
from astbtd.cli.common import format_local_time
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import RECORD_FILE, CoreState, Crash
from astbtd.model.surroundings import PbxState
from astbtd.pipeline import pbx_state
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support.builders import NOON, crash
from tests.support.cli_types import Keep, Run
from tests.support.deadlocks import capture


def test_without_an_id_the_newest_report_is_shown(astbtd: Run, keep: Keep) -> None:
    keep(crash(1))
    keep(crash(2))

    answer = astbtd("show")

    assert (answer.code, answer.out) == (0, f"report of {crash(2).id}\n")


@pytest.mark.parametrize("selector", [crash(1).id, "20261122T1201", "-2"])
def test_an_id_prefix_or_position_selects_a_crash(astbtd: Run, keep: Keep, selector: str) -> None:
    keep(crash(1))
    keep(crash(2))

    assert astbtd("show", selector).out == f"report of {crash(1).id}\n"


@pytest.mark.parametrize("name", ["backtrace", "thread1", "brief", "full", "locks", "info"])
def test_a_section_is_printed_unchanged(astbtd: Run, keep: Keep, name: str) -> None:
    keep(crash(), **{name: b"#0  main () \x1b[31m\n"})

    assert astbtd("show", "--section", name).out == "#0  main () \x1b[31m\n"


@pytest.mark.parametrize(("name", "file"), SECTIONS.items())
def test_a_section_is_selected_by_name_or_file_name(astbtd: Run, keep: Keep, name: str, file: str) -> None:
    (keep(crash()) / file).write_text("content\n")

    assert astbtd("show", "--section", name).out == "content\n"
    assert astbtd("show", "--section", file).out == "content\n"


def test_invalid_utf8_in_a_section_is_replaced(astbtd: Run, keep: Keep) -> None:
    keep(crash(), backtrace=b"caf\xe9\n")

    assert astbtd("show", "--section", "backtrace").out == "caf\ufffd\n"


def test_a_missing_section_is_reported_with_the_files_present(astbtd: Run, keep: Keep) -> None:
    keep(crash(), brief=b"")

    answer = astbtd("show", "--section", "full")

    assert answer.code == 3
    assert "has no full.txt" in answer.err
    assert "brief.txt, crash.json, report.txt" in answer.err


def test_an_unknown_section_is_wrong_usage(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    answer = astbtd("show", "--section", "../../passwd")

    assert answer.code == 2
    assert "report" in answer.err


def without_core(one: Crash) -> Crash:
    return replace(one, core=replace(one.core, state=CoreState.REMOVED, removed_at=NOON + timedelta(days=14)))


def test_a_removed_core_is_mentioned_below_the_report(astbtd: Run, keep: Keep) -> None:
    keep(without_core(crash()))

    moment = format_local_time(NOON + timedelta(days=14))
    assert astbtd("show").out == f"report of {crash().id}\n\nRemoved: the core on {moment}\n"


def test_a_crash_without_texts_is_summarized_from_its_record(astbtd: Run, keep: Keep) -> None:
    directory = keep(replace(without_core(crash()), texts_removed_at=NOON + timedelta(days=365)))
    (directory / "report.txt").unlink()

    answer = astbtd("show")

    assert answer.code == 0
    assert answer.out.startswith("Asterisk crashed: SIGSEGV (Segmentation fault, address 0x10) in ast_bridge_join\n")
    assert "Seen:      for the first time" in answer.out
    moments = (format_local_time(NOON + timedelta(days=days)) for days in (14, 365))
    assert answer.out.endswith("\nRemoved: the core on {}, the texts on {}\n".format(*moments))


def test_texts_whose_removal_was_interrupted_are_not_shown(astbtd: Run, keep: Keep) -> None:
    keep(replace(crash(), texts_removed_at=NOON))

    assert "report of" not in astbtd("show").out


def test_a_removed_section_is_reported_with_the_time_of_its_removal(astbtd: Run, keep: Keep) -> None:
    keep(replace(crash(), texts_removed_at=NOON))

    answer = astbtd("show", "--section", "full")

    assert (answer.code, answer.out) == (3, "")
    assert f"the texts of crash {crash().id} were removed on {format_local_time(NOON)}" in answer.err


def test_the_report_is_shown_even_if_the_record_is_damaged(astbtd: Run, keep: Keep) -> None:
    (keep(crash()) / RECORD_FILE).write_text("{")

    assert astbtd("show").out == f"report of {crash().id}\n"


def test_json_is_the_complete_record(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    assert json.loads(astbtd("show", "--json").out) == to_plain(crash())


def test_path_prints_only_the_directory(astbtd: Run, keep: Keep) -> None:
    directory = keep(crash())

    assert astbtd("show", "--path").out == f"{directory}\n"


@pytest.mark.parametrize("selector", ["latest", "-1", "2026", crash().id])
def test_an_empty_store_exits_with_3(astbtd: Run, selector: str) -> None:
    answer = astbtd("show", selector)

    assert (answer.code, answer.out) == (3, "")
    assert "astbtd check-config" in answer.err


def test_json_and_path_are_mutually_exclusive(astbtd: Run) -> None:
    assert astbtd("show", "--json", "--path").code == 2


@pytest.mark.parametrize("option", [(), ("--json",), ("--section", "brief")])
def test_if_retention_removes_the_chosen_crash_the_next_one_is_shown(
    astbtd: Run, keep: Keep, store: Store, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    kept, removed = crash(1, identity="a" * 32), crash(2, identity="b" * 32)
    keep(kept, brief=kept.id.encode())
    keep(removed)
    chosen = [store.ids(), [kept.id]]
    store.remove(removed.id)
    monkeypatch.setattr(Store, "newest", lambda *_: iter(chosen.pop(0)))
    monkeypatch.setattr(Store, "ids", lambda _: [kept.id])

    answer = astbtd("show", *option)

    assert (answer.code, answer.err) == (0, "")
    assert kept.id in answer.out


STATE = PbxState(NOON + timedelta(seconds=2), running=False, unit="asterisk.service", unit_state="failed (failed)")


@pytest.fixture
def _running_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which Asterisk was started again ten seconds after the crash."""
    running = replace(STATE, running=True, since=NOON + timedelta(seconds=10), restarts=1)
    monkeypatch.setattr(pbx_state, "observe_pbx", lambda *_: running)


def observed(host: str) -> Crash:
    return replace(crash(), crashed_at=NOON, host=host, pbx=STATE)


@pytest.mark.usefixtures("_running_again")
def test_the_first_screen_says_whether_asterisk_is_running_now(astbtd: Run, keep: Keep) -> None:
    keep(observed(platform.node()), report=b"the first screen of then\n\nThe frames\n")

    shown = astbtd("show").out

    assert "Running:   yes, again since" in shown
    assert "10s after the crash; 1 restart in the last hour" in shown
    assert "the first screen of then" not in shown
    assert shown.endswith("\n\nThe frames\n")


@pytest.mark.usefixtures("_running_again")
def test_the_report_of_another_machine_is_printed_as_it_was_written(astbtd: Run, keep: Keep) -> None:
    keep(observed("elsewhere"), report=b"the first screen of then\n\nThe frames\n")

    assert astbtd("show").out == "the first screen of then\n\nThe frames\n"


def test_the_page_is_made_from_the_record_and_the_texts(astbtd: Run, keep: Keep) -> None:
    pytest.importorskip("jinja2")
    keep(crash(), thread1=b"#0  0x1 in ast_bridge_join (bridge=0x0) at bridge.c:1234\n")

    answer = astbtd("show", "--html")

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("<!DOCTYPE html>")
    assert "bridge.c:1234" in answer.out


def test_the_page_of_a_capture(astbtd: Run, store: Store) -> None:
    pytest.importorskip("jinja2")
    captures = Captures(store.root)
    captures.prepare()
    captures.commit(captures.stage(capture().id), capture(), keep=1)

    assert "Who waits for whom (2)" in astbtd("show", "--html", capture().id).out


def test_listing_crashes_does_not_load_what_makes_the_page(keep: Keep, store: Store) -> None:
    keep(crash())
    script = (
        "import sys; from astbtd.cli.main import main; "
        "main(sys.argv[1:]); print(*(name for name in sys.modules if name.startswith(('jinja2', 'astbtd.html'))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, "--store", str(store.root), "list"], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == ""
