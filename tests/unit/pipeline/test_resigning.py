"""Signatures of stored crashes after the rules have changed, also in a store of the previous version."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.diagnosis.crash_context import CrashContext, Evidence
from astbtd.diagnosis.signature import rules_version
from astbtd.model.crash import Crash, Section, Site, SiteFrame
from astbtd.model.diagnosis import DecidedSignature
from astbtd.pipeline.resigning import Resigning, is_current
from astbtd.store.store import Store
from tests.support.builders import crash, signature_of

PREVIOUS_VERSION = Path(__file__).parents[2] / "data/store-schema-1/store"
MODULE = "/usr/lib/asterisk/modules/app_rpt.so"
NAMED = "#0  0x1 in play (x=1) at p.c:1\n#1  0x2 in main () at m.c:2\n"
UNNAMED = f"#0  0x1 in __ao2_ref () from /usr/sbin/asterisk\n#1  0x2 in ?? () from {MODULE}\n"
NO_NAMES = "#0  0x41 in ?? ()\n#1  0x42 in ?? ()\n"


def add(
    store: Store, minutes: float, text: str | None, signature: str = "old", rule: str = "function", **changes: object
) -> Crash:
    """Store a crash as the previous version did: without a site and without the version of its rule."""
    made = crash(minutes, pid=int(minutes) + 1)
    old = DecidedSignature(signature, f"fault in {signature}", rule)
    made = replace(
        made,
        site=None,
        diagnosis=replace(
            made.diagnosis, signature=old, frames=2, memory_corruption=None, missing_symbols=text != NAMED
        ),
        signature=replace(signature_of(made), id=signature, text=old.text, occurrence=int(minutes) + 1),
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    staged = store.stage(made.id)
    if text is not None:
        (staged / Section.BACKTRACE).write_text(f"Thread 1 (LWP 4243):\n{text}")
        (staged / Section.THREAD1).write_text(f"Thread 1 (LWP 4243):\n{text}")
        (staged / "report.txt").write_text("Signature: old\n")
    store.commit(staged, made)
    return made


def resign(store: Store) -> list[Crash]:
    """Compute all signatures again; return the crashes, oldest first."""
    assert Resigning(store, lambda: False).run()
    return list(store.crashes())[::-1]


def test_signatures_of_older_rules_are_computed_again_and_numbered_by_crash_time(store: Store) -> None:
    for minutes in range(3):
        add(store, minutes, NAMED)

    crashes = resign(store)

    assert [signature_of(each).text for each in crashes] == ["fault in play"] * 3
    assert [signature_of(each).occurrence for each in crashes] == [1, 2, 3]
    assert {signature_of(each).rule for each in crashes} == {f"function/{rules_version()}"}
    assert [signature_of(each).id for each in crashes] == [signature_of(each.diagnosis).id for each in crashes]
    assert all("fault in play" in (store.directory(each.id) / "report.txt").read_text() for each in crashes)


def test_a_signature_that_is_right_keeps_its_number(store: Store) -> None:
    for minutes in (4, 9):
        add(store, minutes, NAMED)
    for number, each in enumerate(resign(store), 5):  # earlier ones were removed
        by_older_rules = replace(each, signature=replace(signature_of(each), occurrence=number, rule=None))
        store.write_record(by_older_rules)
    (store.incoming / "rules").unlink()

    assert [signature_of(each).occurrence for each in resign(store)] == [5, 6]


@pytest.mark.parametrize("text", [UNNAMED, NO_NAMES])
def test_crashes_that_cannot_be_told_apart_are_not_grouped_any_more(store: Store, text: str) -> None:
    add(store, 1, text, rule="object")

    (after,) = resign(store)

    assert (after.signature, after.diagnosis.signature, after.site) == (None, None, None)


def test_a_recorded_site_gives_the_offsets(store: Store) -> None:
    frames = (SiteFrame("ab", "/usr/sbin/asterisk", "0x10"), SiteFrame("cd", MODULE, "0x1139"))
    add(store, 1, UNNAMED, site=Site("s", frames))

    (after,) = resign(store)

    assert signature_of(after).text == "fault in app_rpt.so+0x1139"


def test_without_a_text_the_signature_of_the_same_stack_is_used_or_a_precise_one_kept(store: Store) -> None:
    with_text = add(store, 1, NAMED)
    same_stack = replace(with_text.core, site="stack")
    store.change(with_text.id, lambda stored: replace(stored, core=same_stack))
    add(store, 2, None, core=same_stack)
    add(store, 3, None, "precise")
    add(store, 4, None, "vague", rule="modules")
    add(store, 5, None, "unknown", rule="nothing")

    texts = [each.signature and each.signature.text for each in resign(store)]

    assert texts == ["fault in play", "fault in play", "fault in precise", None, None]


def test_a_text_that_was_shortened_does_not_decide(store: Store) -> None:
    shortened = add(store, 1, NAMED, "precise")
    store.change(shortened.id, lambda stored: replace(stored, diagnosis=replace(stored.diagnosis, frames=9)))

    (after,) = resign(store)

    assert signature_of(after).text == "fault in precise"


def test_an_interrupted_run_is_continued(store: Store) -> None:
    for minutes in range(5):
        add(store, minutes, NAMED)
    interrupted = iter([False, False, True])
    assert not Resigning(store, lambda: next(interrupted)).run()
    changed = [each for each in store.crashes() if is_current(signature_of(each))]

    crashes = resign(store)

    assert len(changed) == 2
    assert [signature_of(each).occurrence for each in crashes] == [1, 2, 3, 4, 5]


def test_nothing_is_read_when_all_signatures_are_current(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, 1, NAMED)
    resign(store)
    monkeypatch.setattr(Store, "load_summary", lambda *_: pytest.fail("a record was read"))

    assert Resigning(store, lambda: False).run()


def test_a_store_of_the_previous_version_keeps_its_signatures_where_they_are_right(tmp_path: Path) -> None:
    shutil.copytree(PREVIOUS_VERSION, tmp_path / "store", symlinks=True)
    (tmp_path / "store/incoming").mkdir()
    store = Store(tmp_path / "store")
    before = {each.id: each for each in store.crashes()}
    schemas = {json.loads(path.read_text())["schema"] for path in store.root.glob("crashes/*/crash.json")}

    after = {each.id: each for each in resign(store)}

    assert schemas == {1}
    assert after.keys() == before.keys()
    for crash_id, old in before.items():
        new = after[crash_id]
        assert new.site is None
        if signature_of(old).text != "fault in ??":
            assert (signature_of(new).text, signature_of(new).occurrence) == (
                signature_of(old).text,
                signature_of(old).occurrence,
            )
            assert is_current(signature_of(new))
        else:
            assert new.signature is None


def test_an_internal_error_at_one_crash_is_raised_once_and_the_others_are_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = add(store, 1, "#0  0x1 in broken () at b.c:1\n#1  0x2 in main () at m.c:2\n"), add(store, 2, NAMED)
    parse = CrashContext.from_text

    def fail_at_one(text: Iterable[str], evidence: Evidence) -> CrashContext:
        context = parse(text, evidence)
        if context.stack.frames[0].function == "broken":
            raise ValueError("internal error")
        return context

    monkeypatch.setattr(CrashContext, "from_text", fail_at_one)

    with pytest.raises(ValueError, match="internal error"):
        Resigning(store, lambda: False).run()
    assert Resigning(store, lambda: False).run()

    assert [signature_of(store.load(each.id)).text for each in (broken, sound)] == ["fault in old", "fault in play"]


def test_foreign_crashes_are_not_counted(store: Store) -> None:
    for minutes in range(4):
        add(store, minutes, NAMED, foreign=minutes % 2 == 0)

    crashes = resign(store)

    assert [signature_of(each).occurrence for each in crashes] == [1, 1, 1, 2]
    assert {signature_of(each).text for each in crashes} == {"fault in play"}
