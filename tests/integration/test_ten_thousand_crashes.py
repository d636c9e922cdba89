"""Ten thousand crashes of five bugs in one store: counted, listed, shown and pruned without a mistake."""

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
from astbtd.lib.serialization import rfc3339
from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, CoreState, Crash, CrashSignature
from astbtd.store.store import Store
from tests.support.builders import NOON, crash

CRASHES = 10_000
BETWEEN = timedelta(minutes=30)
PINNED = 1_000  # every one whose number divides by this, all of the first bug
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
    """The signature of a crash: every second is of the first bug, of the others every third, and so on."""
    return next(name * 12 for name, every in (("a", 2), ("b", 3), ("c", 5), ("d", 7), ("e", 1)) if index % every == 0)


@dataclass(frozen=True)
class Crowd:
    """The crashes as they were made, oldest first; what the commands printed of them before and after `prune`."""

    store: Store
    now: datetime
    made: Sequence[Crash]
    before: dict[str, Any]
    announced: dict[str, Any]
    removed: dict[str, Any]
    journal: Sequence[str]
    after: dict[str, Any]

    def of(self, what: str) -> set[str]:
        """The crashes that lost it."""
        return {removal["id"] for removal in self.removed["removals"] if removal["what"] == what}


def make(store: Store, now: datetime) -> list[Crash]:
    """Fills the store: a crash every half an hour until now, each with a report and a core."""
    made: list[Crash] = []
    known: dict[str, CrashSignature] = {}
    for index in range(CRASHES):
        at = now - (CRASHES - index - 0.5) * BETWEEN
        one = crash((at - NOON).total_seconds() / 60, pid=index + 1, signature=bug(index))
        before = known.get(one.signature.id, replace(one.signature, occurrence=0))
        known[one.signature.id] = replace(before, occurrence=before.occurrence + 1)
        made.append(replace(one, signature=known[one.signature.id], pinned=index % PINNED == 0))
        staged = store.stage(one.id)
        (staged / REPORT_FILE).write_text(f"report of {one.id}\n")
        (staged / KEPT_CORE_FILE).write_bytes(b"core")
        store.commit(staged, made[-1])
    store.point_latest()
    return made


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """All of it, once. Nothing is synced: there will be no power cut."""
    directory = tmp_path_factory.mktemp("crowd")
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
            "e": json.loads(astbtd("list", "--json", "--signature", "e", "--since", rfc3339(now - timedelta(days=30)))),
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
        announced = json.loads(astbtd("prune", "--json", "--dry-run"))
        removed = json.loads(astbtd("prune", "--json"))
        assert astbtd("prune") == "nothing to remove\n"
        yield Crowd(store, now, made, before, announced, removed, journal, printed())


def older(crowd: Crowd, days: int) -> set[str]:
    return {one.id for one in crowd.made if crowd.now - one.collected_at > timedelta(days=days)}


def pinned(crowd: Crowd) -> set[str]:
    return {one.id for one in crowd.made if one.pinned}


def first_and_newest(crashes: Sequence[Crash]) -> set[str]:
    first = {one.signature.id: one.id for one in reversed(crashes)}
    newest = {one.signature.id: one.id for one in crashes}
    return {*first.values(), *newest.values()}


def test_all_are_listed_newest_first(crowd: Crowd) -> None:
    assert [row.split()[-1] for row in crowd.before["list"]] == [one.id for one in reversed(crowd.made)]
    assert [one["id"] for one in crowd.before["twenty"]] == [one.id for one in reversed(crowd.made[-20:])]


def test_filters_find_what_they_should_and_no_more(crowd: Crowd) -> None:
    recent = [one for one in crowd.made if crowd.now - one.crashed_at <= timedelta(days=30)]
    expected = [one.id for one in reversed(recent) if one.signature.id.startswith("e")]

    assert [one["id"] for one in crowd.before["e"]] == expected


def test_top_counts_every_signature(crowd: Crowd) -> None:
    counts = Counter(one.signature.id for one in crowd.made)
    moments = defaultdict(list)
    for one in crowd.made:
        moments[one.signature.id].append(rfc3339(one.crashed_at))

    top = crowd.before["top"]

    assert [(each["signature"]["id"], each["count"]) for each in top] == counts.most_common()
    assert {each["signature"]["id"]: each["first_seen"] for each in top} == {
        key: its[0] for key, its in moments.items()
    }
    assert {each["signature"]["id"]: each["last_seen"] for each in top} == {
        key: its[-1] for key, its in moments.items()
    }
    assert all(sum(each["trend"]["counts"]) == each["count"] for each in top)
    assert all(max(each["trend"]["counts"]) - min(each["trend"]["counts"]) <= 2 for each in top)


def test_a_dry_run_announces_exactly_what_is_removed_then(crowd: Crowd) -> None:
    assert crowd.announced == crowd.removed
    assert crowd.removed["bytes"] == sum(removal["bytes"] for removal in crowd.removed["removals"])
    assert len(crowd.journal) == 1


def test_the_oldest_records_are_forgotten_but_none_that_is_pinned_or_the_first_of_its_signature(crowd: Crowd) -> None:
    spared = pinned(crowd) | first_and_newest(crowd.made)
    line = [one.id for one in crowd.made if one.id not in spared]

    assert crowd.of("record") == set(line[: CRASHES - RECORDS])
    assert len(crowd.store.ids()) == RECORDS


def test_texts_of_ninety_days_are_kept_and_those_that_are_pinned(crowd: Crowd) -> None:
    gone = older(crowd, 90) - pinned(crowd)

    assert crowd.of("text") == gone - crowd.of("record")
    texts = {one for one in crowd.store.ids() if (crowd.store.directory(one) / REPORT_FILE).exists()}
    assert texts == {one.id for one in crowd.made} - gone


def test_three_cores_of_each_signature_are_kept_or_those_that_are_pinned(crowd: Crowd) -> None:
    gone = older(crowd, 14)
    recent = defaultdict(list)
    for one in crowd.made:
        if one.id not in gone:
            recent[one.signature.id[0]].append(one.id)

    cores = {one for one in crowd.store.ids() if crowd.store.kept_core(one).exists()}

    three_each = {one for bug in "bcde" for one in (recent[bug][0], *recent[bug][-2:])}
    assert cores == pinned(crowd) | three_each


def test_every_record_says_what_is_left_of_its_crash(crowd: Crowd) -> None:
    for one in crowd.store.crashes():
        has_core = crowd.store.kept_core(one.id).exists()
        assert one.core.state is (CoreState.KEPT if has_core else CoreState.REMOVED)
        assert (one.core.removed_at is None) == has_core
        assert (one.texts_removed_at is None) == (crowd.store.directory(one.id) / REPORT_FILE).exists()


def test_thinned_crashes_are_listed_and_marked(crowd: Crowd) -> None:
    rows = {row.split()[-1]: row for row in crowd.after["list"]}

    assert list(rows) == crowd.store.ids()
    assert {crash_id for crash_id, row in rows.items() if "thinned" in row} == crowd.of("text")
    assert {crash_id for crash_id, row in rows.items() if "pinned" in row} == pinned(crowd)


def test_what_is_forgotten_is_not_counted_but_remembered(crowd: Crowd) -> None:
    forgotten = crowd.of("record")
    counts = Counter(one.signature.id for one in crowd.made if one.id not in forgotten)
    before = {each["signature"]["id"]: each["first_seen"] for each in crowd.before["top"]}

    top = crowd.after["top"]

    assert {each["signature"]["id"]: each["count"] for each in top} == counts
    assert {each["signature"]["id"]: each["first_seen"] for each in top} == before


def test_a_thinned_crash_is_shown_by_its_record(crowd: Crowd) -> None:
    latest, middle, old = crowd.after["show"].values()

    assert latest == crowd.before["show"]["latest"] == f"report of {crowd.made[-1].id}\n"
    assert middle.startswith(f"report of {crowd.made[-100].id}\n\nRemoved: the core on ")
    assert old.startswith("Asterisk crashed: SIGSEGV")
    assert "\nRemoved: the core on " in old
    assert ", the texts on " in old
