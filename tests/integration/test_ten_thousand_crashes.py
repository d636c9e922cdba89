"""Ten thousand crashes of five bugs in one store are counted, listed, shown and pruned correctly."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from astbtd.announce import systemd
from astbtd.cli.main import main
from astbtd.lib.serialization import format_rfc3339
from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, CoreState, Crash, CrashSignature
from astbtd.store.store import Store
from tests.support.builders import NOON, crash, signature_of

CRASHES = 10_000
BETWEEN = timedelta(minutes=30)
PINNED = 1_000  # every crash whose index is a multiple of this; all of them are of the first bug
RECORDS = 8_000
CONFIGURATION = """
store: {store}
retention:
  cores: {{age: 14d, per_signature: 3}}
  texts: {{age: 90d}}
  records: {{count: 8000}}
  minimum_free: 0%
"""


def bug(index: int) -> str:
    """Return the signature of a crash: every second one is of bug a, every third of the others of bug b, and so on."""
    return next(name * 12 for name, every in (("a", 2), ("b", 3), ("c", 5), ("d", 7), ("e", 1)) if index % every == 0)


@dataclass(frozen=True)
class Scene:
    """The crashes, oldest first, and what the commands printed before and after `prune`."""

    store: Store
    now: datetime
    made: Sequence[Crash]
    before: dict[str, Any]
    dry_run: dict[str, Any]
    removed: dict[str, Any]
    journal: Sequence[str]
    after: dict[str, Any]

    def removed_parts(self, what: str) -> set[str]:
        """Return the ids of the crashes that lost this part."""
        return {removal["id"] for removal in self.removed["removals"] if removal["what"] == what}


def make(store: Store, now: datetime) -> list[Crash]:
    """Fill the store: a crash every half hour until now, each with a report and a core."""
    made: list[Crash] = []
    known: dict[str, CrashSignature] = {}
    for index in range(CRASHES):
        at = now - (CRASHES - index - 0.5) * BETWEEN
        one = crash((at - NOON).total_seconds() / 60, pid=index + 1, signature=bug(index))
        before = known.get(signature_of(one).id, replace(signature_of(one), occurrence=0))
        known[signature_of(one).id] = replace(before, occurrence=before.occurrence + 1)
        made.append(replace(one, signature=known[signature_of(one).id], pinned=index % PINNED == 0))
        staged = store.stage(one.id)
        (staged / REPORT_FILE).write_text(f"report of {one.id}\n")
        (staged / KEPT_CORE_FILE).write_bytes(b"core")
        store.commit(staged, made[-1])
    store.update_latest()
    return made


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Fill the store and run all commands, once. Nothing is synced, to save time."""
    directory = tmp_path_factory.mktemp("scene")
    configuration = directory / "astbtd.yaml"
    configuration.write_text(CONFIGURATION.format(store=directory / "store"))
    configuration.chmod(0o644)

    def astbtd(*arguments: str) -> str:
        with redirect_stdout(StringIO()) as out:
            assert main(["--config", str(configuration), *arguments]) == 0
        return out.getvalue()

    def printed() -> dict[str, Any]:
        return {
            "list": astbtd("list").splitlines()[1:],
            "twenty": json.loads(astbtd("list", "--json", "--limit", "20")),
            "e": json.loads(
                astbtd("list", "--json", "--signature", "e", "--since", format_rfc3339(now - timedelta(days=30)))
            ),
            "top": json.loads(astbtd("top", "--json")),
            "show": {which: astbtd("show", which) for which in ("latest", "-100", "-7500")},
        }

    with pytest.MonkeyPatch.context() as patch:
        journal: list[str] = []
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(systemd, "send", lambda message, *_: journal.append(message))
        store, now = Store(directory / "store"), datetime.now(UTC)
        store.prepare()
        made = make(store, now)
        before = printed()
        dry_run = json.loads(astbtd("prune", "--json", "--dry-run"))
        removed = json.loads(astbtd("prune", "--json"))
        assert astbtd("prune") == "nothing to remove\n"
        yield Scene(store, now, made, before, dry_run, removed, journal, printed())


def older(scene: Scene, days: int) -> set[str]:
    return {one.id for one in scene.made if scene.now - one.collected_at > timedelta(days=days)}


def pinned(scene: Scene) -> set[str]:
    return {one.id for one in scene.made if one.pinned}


def first_and_newest(crashes: Sequence[Crash]) -> set[str]:
    first = {signature_of(one).id: one.id for one in reversed(crashes)}
    newest = {signature_of(one).id: one.id for one in crashes}
    return {*first.values(), *newest.values()}


def test_all_crashes_are_listed_newest_first(scene: Scene) -> None:
    assert [row.split()[-1] for row in scene.before["list"]] == [one.id for one in reversed(scene.made)]
    assert [one["id"] for one in scene.before["twenty"]] == [one.id for one in reversed(scene.made[-20:])]


def test_filters_select_exactly_the_matching_crashes(scene: Scene) -> None:
    recent = [one for one in scene.made if scene.now - one.crashed_at <= timedelta(days=30)]
    expected = [one.id for one in reversed(recent) if signature_of(one).id.startswith("e")]

    assert [one["id"] for one in scene.before["e"]] == expected


def test_top_counts_every_signature(scene: Scene) -> None:
    counts = Counter(signature_of(one).id for one in scene.made)
    moments = defaultdict(list)
    for one in scene.made:
        moments[signature_of(one).id].append(format_rfc3339(one.crashed_at))

    top = scene.before["top"]

    assert [(each["signature"]["id"], each["count"]) for each in top] == counts.most_common()
    assert {each["signature"]["id"]: each["first_seen"] for each in top} == {
        key: its[0] for key, its in moments.items()
    }
    assert {each["signature"]["id"]: each["last_seen"] for each in top} == {
        key: its[-1] for key, its in moments.items()
    }
    assert all(sum(each["trend"]["counts"]) == each["count"] for each in top)
    assert all(max(each["trend"]["counts"]) - min(each["trend"]["counts"]) <= 2 for each in top)


def test_a_dry_run_shows_exactly_what_is_removed_later(scene: Scene) -> None:
    assert scene.dry_run == scene.removed
    assert scene.removed["bytes"] == sum(removal["bytes"] for removal in scene.removed["removals"])
    assert len(scene.journal) == 1


def test_the_oldest_records_are_removed_except_pinned_ones_and_the_first_of_a_signature(scene: Scene) -> None:
    kept_longest = pinned(scene) | first_and_newest(scene.made)
    line = [one.id for one in scene.made if one.id not in kept_longest]

    assert scene.removed_parts("record") == set(line[: CRASHES - RECORDS])
    assert len(scene.store.ids()) == RECORDS


def test_texts_are_kept_for_ninety_days_or_if_pinned(scene: Scene) -> None:
    gone = older(scene, 90) - pinned(scene)

    assert scene.removed_parts("text") == gone - scene.removed_parts("record")
    texts = {one for one in scene.store.ids() if (scene.store.directory(one) / REPORT_FILE).exists()}
    assert texts == {one.id for one in scene.made} - gone


def test_three_cores_of_each_signature_are_kept_and_the_pinned_ones(scene: Scene) -> None:
    gone = older(scene, 14)
    recent = defaultdict(list)
    for one in scene.made:
        if one.id not in gone:
            recent[signature_of(one).id[0]].append(one.id)

    cores = {one for one in scene.store.ids() if scene.store.kept_core(one).exists()}

    three_each = {one for bug in "bcde" for one in (recent[bug][0], *recent[bug][-2:])}
    assert cores == pinned(scene) | three_each


def test_every_record_matches_what_is_left_of_its_crash(scene: Scene) -> None:
    for one in scene.store.crashes():
        has_core = scene.store.kept_core(one.id).exists()
        assert one.core.state is (CoreState.KEPT if has_core else CoreState.REMOVED)
        assert (one.core.removed_at is None) == has_core
        assert (one.texts_removed_at is None) == (scene.store.directory(one.id) / REPORT_FILE).exists()


def test_crashes_without_texts_are_listed_and_marked(scene: Scene) -> None:
    rows = {row.split()[-1]: row for row in scene.after["list"]}

    assert list(rows) == scene.store.ids()
    assert {crash_id for crash_id, row in rows.items() if "thinned" in row} == scene.removed_parts("text")
    assert {crash_id for crash_id, row in rows.items() if "pinned" in row} == pinned(scene)


def test_removed_records_are_not_counted_but_their_first_seen_is_kept(scene: Scene) -> None:
    forgotten = scene.removed_parts("record")
    counts = Counter(signature_of(one).id for one in scene.made if one.id not in forgotten)
    before = {each["signature"]["id"]: each["first_seen"] for each in scene.before["top"]}

    top = scene.after["top"]

    assert {each["signature"]["id"]: each["count"] for each in top} == counts
    assert {each["signature"]["id"]: each["first_seen"] for each in top} == before


def test_a_crash_without_texts_is_shown_from_its_record(scene: Scene) -> None:
    latest, middle, old = scene.after["show"].values()

    assert latest == scene.before["show"]["latest"] == f"report of {scene.made[-1].id}\n"
    # When the core was removed, the report was written again, without the advice to read it.
    assert middle.startswith("Asterisk crashed: SIGSEGV")
    assert "\nRemoved: the core on " in middle
    assert ", the texts on " not in middle
    assert old.startswith("Asterisk crashed: SIGSEGV")
    assert "\nRemoved: the core on " in old
    assert ", the texts on " in old
