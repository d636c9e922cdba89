"""Which debug files kept crashes lack."""

from dataclasses import replace
from pathlib import Path

from astbtd.model.crash import Crash, MappedFile, ObjectState, Section
from astbtd.pipeline.wanted_symbols import WantedSymbols, lacking_builds
from astbtd.store.store import Store
from tests.support.builders import crash

PROGRAM, MODULE, LIBC, UNUSED = "ab" * 20, "01" * 20, "02" * 20, "03" * 20
OBJECTS = (
    MappedFile("/usr/lib/asterisk/modules/app_dial.so", MODULE, ObjectState.SAME),
    MappedFile("/usr/lib/x86_64-linux-gnu/libc.so.6", LIBC, ObjectState.SAME),
    MappedFile("/usr/lib/asterisk/modules/app_queue.so", UNUSED, ObjectState.SAME),
)
STRIPPED = """
Thread 1 (Thread 0x7f (LWP 1)):
#0  0x00007f0000001000 in ?? () from /usr/lib/asterisk/modules/app_dial.so
#1  0x0000560000001000 in pbx_exec ()
#2  0x00007f0000002000 in start_thread () from /lib/x86_64-linux-gnu/libc.so.6
"""
COMPLETE = """
Thread 1 (Thread 0x7f (LWP 1)):
#0  0x00007f0000001000 in dial_exec (chan=0x0) at app_dial.c:1
#1  <signal handler called>
#2  0x0000560000001000 in pbx_exec (chan=0x0) at pbx.c:2
"""


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


def test_objects_of_frames_without_source_lines_are_lacking(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = add(store, STRIPPED)

    assert lacking_builds(made, store.directory(made.id)) == (PROGRAM, MODULE, LIBC)


def test_nothing_is_lacking_if_all_frames_have_source_lines(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = add(store, COMPLETE)

    assert lacking_builds(made, store.directory(made.id)) == ()


def test_only_crashes_with_a_kept_core_count(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED, kept=False)

    assert WantedSymbols(store).builds() == ()
    assert WantedSymbols(store).needed_builds() == frozenset()


def test_each_build_is_wanted_once(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, STRIPPED)
    add(store, STRIPPED, crash(1, pid=2))

    assert WantedSymbols(store).builds() == (PROGRAM, MODULE, LIBC)


def test_a_text_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = add(store, STRIPPED)
    wanted = WantedSymbols(store)
    assert wanted.builds()

    new = store.directory(made.id) / "new"
    new.write_text(COMPLETE)
    new.rename(store.directory(made.id) / Section.BRIEF)

    assert wanted.builds() == ()


def test_all_objects_of_kept_cores_are_needed(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    add(store, COMPLETE)

    assert WantedSymbols(store).needed_builds() == {PROGRAM, MODULE, LIBC, UNUSED}


def test_a_crash_without_texts_lacks_nothing(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    made = add(store, STRIPPED)
    (store.directory(made.id) / Section.BRIEF).unlink()

    assert WantedSymbols(store).builds() == ()
