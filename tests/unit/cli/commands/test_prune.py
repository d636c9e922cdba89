"""`astbtd prune`: shows what would be removed and why, and then removes only that."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.model.crash import CoreState
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.retention.planning import stored_crashes
from astbtd.store.store import Store
from tests.support.builders import crash, program
from tests.support.cli_types import Keep, Run

CORE = bytes(2000)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    messages: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: messages.append(message))
    return messages


@pytest.fixture
def limits(configuration: Path) -> None:
    """Keep one core, the texts of two crashes, three records."""
    limited = "{age: null, per_signature: null, count: %d}"
    tiers = ", ".join(f"{what}: {limited % count}" for what, count in (("cores", 1), ("texts", 2), ("records", 3)))
    with configuration.open("a") as file:
        file.write(f"retention: {{{tiers}, minimum_free: 0%}}\n")


@pytest.fixture
def no_core(configuration: Path) -> None:
    """Keep no core."""
    with configuration.open("a") as file:
        file.write("retention: {cores: {count: 0}, minimum_free: 0%}\n")


@pytest.fixture
def four(keep: Keep, store: Store) -> None:
    """Four crashes with cores. The first and the newest are removed last."""
    for minutes in (1, 2, 3, 4):
        keep(crash(minutes), backtrace=b"#0")
        store.kept_core(crash(minutes).id).write_bytes(CORE)


def rows(out: str) -> list[list[str]]:
    return [line.split(maxsplit=3) for line in out.splitlines()[1:-2]]


EXPECTED = [
    ("core", crash(1).id, "more than 1 in all"),
    ("text", crash(3).id, "more than 2 in all"),
    ("record", crash(2).id, "more than 3 in all"),
]
"""What is removed of the four crashes: one record, the texts of another crash, and the core of a third."""


@pytest.mark.usefixtures("four", "limits")
def test_a_dry_run_shows_removals_with_reasons_and_removes_nothing(
    astbtd: Run, store: Store, sent: Sequence[str]
) -> None:
    answer = astbtd("prune", "--dry-run")

    assert answer.code == 0
    assert [(what, crash_id, why) for what, _, crash_id, why in rows(answer.out)] == EXPECTED
    assert answer.out.splitlines()[-1].startswith("would remove 1 core, the texts of 1 crash, 1 record (")
    assert all(store.kept_core(crash(minutes).id).exists() for minutes in (1, 2, 3, 4))
    assert sent == []


@pytest.mark.usefixtures("four", "limits")
def test_what_a_dry_run_showed_is_removed_and_logged_in_one_entry(astbtd: Run, store: Store, sent: list[str]) -> None:
    shown = astbtd("prune", "--dry-run").out

    removed = astbtd("prune").out

    assert removed == shown.replace("would remove", "removed")
    assert [one.id for one in store.crashes()] == [crash(minutes).id for minutes in (4, 3, 1)]
    assert [one.core.state for one in store.crashes()] == [CoreState.KEPT, CoreState.REMOVED, CoreState.REMOVED]
    assert sent == [removed.splitlines()[-1].replace("removed", "retention removed")]


@pytest.mark.usefixtures("four", "limits", "watched")
def test_progress_is_shown_on_a_terminal(astbtd: Run) -> None:
    shown = "".join(f"\rremoving: {done} of 3 " for done in (1, 2, 3))

    assert astbtd("prune").err == f"{shown}\r\x1b[K"


@pytest.mark.usefixtures("four", "limits")
def test_a_second_run_removes_and_logs_nothing(astbtd: Run, sent: list[str]) -> None:
    astbtd("prune")
    sent.clear()

    assert astbtd("prune") == (0, "nothing to remove\n", "")
    assert json.loads(astbtd("prune", "--json").out) == {"removals": [], "objects": [], "bytes": 0}
    assert sent == []


@pytest.mark.usefixtures("four", "limits")
@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_json_output_has_the_removals_and_their_size(astbtd: Run, store: Store, options: list[str]) -> None:
    size = store.size(crash(2).id)

    printed = json.loads(astbtd("prune", "--json", *options).out)

    assert [(each["what"], each["id"], each["reason"]) for each in printed["removals"]] == EXPECTED
    assert [each["bytes"] for each in printed["removals"]][::2] == [2000, size]
    assert printed["bytes"] == sum(each["bytes"] for each in printed["removals"])


@pytest.mark.usefixtures("four", "limits")
def test_a_pinned_crash_is_not_pruned(astbtd: Run, store: Store) -> None:
    astbtd("pin", crash(2).id)

    astbtd("prune")

    assert store.load(crash(2).id).core.state is CoreState.KEPT
    assert (store.directory(crash(2).id) / "backtrace.txt").exists()


@pytest.mark.usefixtures("four", "limits")
def test_what_was_removed_before_an_interruption_is_logged(
    astbtd: Run, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))

    assert astbtd("prune").code == 130

    assert [message.partition(" (")[0] for message in sent] == ["retention removed 1 core, the texts of 1 crash"]


def test_an_absent_store_has_nothing_to_remove(run: Run, tmp_path: Path) -> None:
    assert run("prune", "--store", tmp_path / "absent").out == "nothing to remove\n"


@pytest.mark.usefixtures("no_core", "plain_user")
def test_a_reader_can_use_dry_run_and_gets_a_hint_to_use_sudo(astbtd: Run, store: Store, sent: list[str]) -> None:
    dry_run, real = astbtd("prune", "--dry-run"), astbtd("prune")

    assert [row[-2] for row in rows(dry_run.out)] == [crash().id]
    assert (real.code, real.out) == (1, "")
    assert "Permission denied\n  hint: use sudo" in real.err
    assert next(stored_crashes(store)).core == len(CORE)
    assert sent == []


@pytest.mark.usefixtures("four", "limits")
def test_kept_objects_that_no_core_needs_are_shown_and_removed(astbtd: Run, store: Store, tmp_path: Path) -> None:
    (tmp_path / "app_dial.so").write_bytes(program())
    kept = KeptObjects(store.root)
    with (tmp_path / "app_dial.so").open("rb") as file:
        build_id, size = kept.add(file.fileno())
    os.utime(kept.path(build_id), (0, 0))

    shown = json.loads(astbtd("prune", "--dry-run", "--json").out)
    assert shown["objects"] == [{"build_id": build_id, "bytes": size, "reason": "no kept core needs it"}]
    assert kept.has(build_id)

    assert f" {build_id} no kept core needs it" in astbtd("prune").out
    assert not kept.has(build_id)
