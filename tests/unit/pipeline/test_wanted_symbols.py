"""Which debug files kept crashes lack."""

from dataclasses import replace
from pathlib import Path

from astbtd.model.crash import Crash, LackingSymbols, Section
from astbtd.pipeline.wanted_symbols import WantedSymbols
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.stripped_build import LIBC, MODULE, OBJECTS, PROGRAM, STRIPPED, UNUSED


def add(store: Store, text: str, made: Crash | None = None, *, kept: bool = True) -> Crash:
    """Store a crash with this text."""
    made = replace(made or crash(), objects=OBJECTS)
    staged = store.stage(made.id)
    (staged / Section.BRIEF).write_text(text)
    if kept:
        (staged / "core.zst").touch()
    store.commit(staged, made)
    return made


def prepared(directory: Path) -> Store:
    store = Store(directory / "store")
    store.prepare()
    return store


def test_only_crashes_with_a_kept_core_count(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED, kept=False)

    assert WantedSymbols(store).builds() == ()
    assert WantedSymbols(store).needed_builds() == frozenset()


def test_nothing_is_wanted_for_a_foreign_crash(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED, replace(crash(), foreign=True))

    assert WantedSymbols(store).builds() == ()


def test_each_build_is_wanted_once(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED)
    add(store, STRIPPED, crash(1, pid=2))

    assert WantedSymbols(store).builds() == (PROGRAM, MODULE, LIBC)


def test_what_a_record_of_an_earlier_version_does_not_say_is_read_in_its_text_and_noted(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = add(store, STRIPPED)

    assert WantedSymbols(store).builds() == (PROGRAM, MODULE, LIBC)

    (store.directory(made.id) / Section.BRIEF).unlink()
    assert WantedSymbols(store).builds() == (PROGRAM, MODULE, LIBC)
    noted = store.load(made.id).lacking_symbols
    assert noted == (LackingSymbols(PROGRAM), LackingSymbols(MODULE), LackingSymbols(LIBC))


def test_the_record_decides(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED, replace(crash(), lacking_symbols=(LackingSymbols(LIBC, "1-2-3"),)))

    assert WantedSymbols(store).builds() == (LIBC,)


def test_nothing_is_known_of_a_crash_that_awaits_gdb(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = crash()
    made = add(store, "", replace(made, extraction=replace(made.extraction, awaits_gdb=True)))

    assert WantedSymbols(store).builds() == ()
    assert store.load(made.id).lacking_symbols is None


def test_all_objects_of_kept_cores_are_needed(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED)

    assert WantedSymbols(store).needed_builds() == {PROGRAM, MODULE, LIBC, UNUSED}


def test_a_crash_without_texts_lacks_nothing(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = add(store, STRIPPED)
    (store.directory(made.id) / Section.BRIEF).unlink()

    assert WantedSymbols(store).builds() == ()
