"""Directories are watched through inotify or by polling, and both keep the same promises."""

import select
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.watch.backend import Backend
from astbtd.watch.directory_watch import DirectoryCreated, DirectoryWatch, FileWritten, Hint, Scan
from astbtd.watch.inotify import Inotify
from astbtd.watch.inotify_with_fallback import InotifyWithFallback
from astbtd.watch.polling import Polling
from tests.support.fuse import needs_fuse, served
from tests.support.harness import PATIENCE, scratch_directory

Seen = Callable[[Path], str]

OFTEN = 0.05  # seconds between two looks

BACKENDS: dict[str, Callable[[], Backend]] = {
    "inotify": Inotify,
    "either": InotifyWithFallback,
    "polling": lambda: Polling(OFTEN),
    "polling of what FUSE shows": lambda: Polling(OFTEN),
}


@contextmanager
def watching(backend: Backend) -> Iterator[DirectoryWatch]:
    watch = DirectoryWatch(backend)
    try:
        yield watch
    finally:
        watch.close()


@pytest.fixture(params=[*list(BACKENDS)[:-1], pytest.param(list(BACKENDS)[-1], marks=needs_fuse)])
def backend(request: pytest.FixtureRequest) -> str:
    """Every test that has to do with this is run once for each."""
    return str(request.param)


@pytest.fixture
def shown(backend: str, scratch: Path) -> Iterator[Seen]:
    """The path by which the watch knows a directory in `scratch`, where others make all changes."""
    if "FUSE" not in backend:
        yield str
        return
    with scratch_directory() as front, served(scratch, front):
        yield lambda directory: str(front / directory.relative_to(scratch))


@pytest.fixture
def watch(backend: str) -> Iterator[DirectoryWatch]:
    """A watch through one backend."""
    with watching(BACKENDS[backend]()) as watch:
        yield watch


@pytest.fixture
def watched(watch: DirectoryWatch, shown: Seen, spool: Path) -> DirectoryWatch:
    """The same, with an eye on the spool."""
    watch.watch([shown(spool)])
    assert watch.hints() == [Scan(shown(spool))]
    return watch


def seen(watch: DirectoryWatch, *awaited: Hint) -> list[Hint]:
    """Waits for these hints; returns all that came by then."""
    hints: list[Hint] = []
    wait(watch, hints, lambda: set(awaited) <= set(hints))
    return hints


def lost(watch: DirectoryWatch, directory: str) -> None:
    """Waits until the directory's absence is known."""
    wait(watch, [], lambda: watch.absent() == (directory,))


def wait(watch: DirectoryWatch, hints: list[Hint], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        readable, _, _ = select.select([watch.fileno()], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"waited in vain, after {hints}"
        hints += watch.hints()


def polling_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("polling"))


def test_a_new_watch_asks_for_a_scan_once(watched: DirectoryWatch) -> None:
    watched.rearm()

    assert watched.hints() == []
    assert watched.absent() == ()


def test_a_file_closed_after_writing_is_reported(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    (spool / "core").write_bytes(b"dumped")

    seen(watched, FileWritten(shown(spool), "core"))


def test_a_file_written_once_more_is_reported_once_more(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    (spool / "core").write_bytes(b"dumped")
    seen(watched, FileWritten(shown(spool), "core"))

    (spool / "core").write_bytes(b"dumped again")

    seen(watched, FileWritten(shown(spool), "core"))


def test_a_file_replaced_by_another_of_its_name_is_reported(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    (spool / "core").write_bytes(b"the first crash")
    seen(watched, FileWritten(shown(spool), "core"))
    (spool / "claimed").hardlink_to(spool / "core")
    seen(watched, FileWritten(shown(spool), "claimed"))

    (spool / "core").unlink()
    (spool / "core").write_bytes(b"the second crash")

    seen(watched, FileWritten(shown(spool), "core"))


def test_a_file_moved_in_is_reported(watched: DirectoryWatch, spool: Path, scratch: Path, shown: Seen) -> None:
    (scratch / "dump").write_bytes(b"dumped elsewhere")

    (scratch / "dump").rename(spool / "core")

    seen(watched, FileWritten(shown(spool), "core"))


def test_a_file_renamed_within_is_reported_by_its_new_name(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    (spool / ".core.part").write_bytes(b"copied")
    seen(watched, FileWritten(shown(spool), ".core.part"))

    (spool / ".core.part").rename(spool / "core")

    seen(watched, FileWritten(shown(spool), "core"))


@pytest.mark.parametrize("name", ["a b\n(c", "größer", ".hidden", "+"])
def test_names_are_reported_as_they_are(watched: DirectoryWatch, spool: Path, name: str, shown: Seen) -> None:
    (spool / name).touch()

    seen(watched, FileWritten(shown(spool), name))


def test_a_name_that_is_no_text_leads_there_all_the_same(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    hints: list[Hint] = []

    (spool / "core").touch()
    (spool / "\udcff\udcfe").touch()
    (spool / "later").touch()

    wait(watched, hints, lambda: {Scan(shown(spool)), FileWritten(shown(spool), "\udcff\udcfe")} & set(hints) != set())
    (spool / "next").touch()
    seen(watched, FileWritten(shown(spool), "next"))


def test_directories_within_are_reported_but_not_looked_into(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    (spool / "below").mkdir()
    (spool / "below" / "core").touch()
    (spool / "core").touch()

    hints = seen(watched, FileWritten(shown(spool), "core"))

    assert set(hints) == {DirectoryCreated(shown(spool), "below"), FileWritten(shown(spool), "core")}


def test_a_directory_that_appears_late_is_scanned_and_watched(
    watch: DirectoryWatch, scratch: Path, shown: Seen
) -> None:
    late = scratch / "not" / "yet"
    watch.watch([shown(late)])
    assert watch.absent() == (shown(late),)

    late.mkdir(parents=True)

    seen(watch, Scan(shown(late)))
    assert watch.absent() == ()
    (late / "core").touch()
    seen(watch, FileWritten(shown(late), "core"))


def test_a_directory_that_is_deleted_and_made_anew_is_watched_again(
    watched: DirectoryWatch, spool: Path, shown: Seen
) -> None:
    spool.rmdir()
    lost(watched, shown(spool))

    spool.mkdir()

    seen(watched, Scan(shown(spool)))
    (spool / "core").touch()
    seen(watched, FileWritten(shown(spool), "core"))


def test_a_directory_that_is_renamed_away_and_replaced_is_watched_under_its_old_name(
    watched: DirectoryWatch, spool: Path, scratch: Path, shown: Seen
) -> None:
    away = spool.rename(scratch / "away")
    spool.mkdir()
    seen(watched, Scan(shown(spool)))

    (away / "left").touch()
    (spool / "core").touch()

    hints = seen(watched, FileWritten(shown(spool), "core"))
    assert FileWritten(shown(spool), "left") not in hints


def test_a_directory_renamed_away_is_absent_until_it_comes_back(
    watched: DirectoryWatch, spool: Path, scratch: Path, shown: Seen
) -> None:
    spool.rename(scratch / "away")
    lost(watched, shown(spool))
    (scratch / "away" / "core").touch()

    (scratch / "away").rename(spool)

    seen(watched, Scan(shown(spool)))


def test_a_replacement_that_went_unnoticed_is_mended_by_rearming(
    watched: DirectoryWatch, spool: Path, scratch: Path, shown: Seen
) -> None:
    spool.rename(scratch / "away")
    spool.mkdir()

    watched.rearm()

    assert Scan(shown(spool)) in watched.hints()
    (spool / "core").touch()
    seen(watched, FileWritten(shown(spool), "core"))


def test_of_two_watched_directories_within_each_other_both_are_reported(
    watched: DirectoryWatch, spool: Path, shown: Seen
) -> None:
    within = spool / "within"
    within.mkdir()
    watched.watch([shown(spool), shown(within)])
    seen(watched, Scan(shown(within)))

    (within / "core").touch()
    seen(watched, FileWritten(shown(within), "core"))
    shutil.rmtree(within)

    lost(watched, shown(within))


def test_a_changed_set_is_what_is_watched(watched: DirectoryWatch, spool: Path, scratch: Path, shown: Seen) -> None:
    other = scratch / "other"
    other.mkdir()

    watched.watch([shown(other)])

    assert watched.hints() == [Scan(shown(other))]
    (spool / "core").touch()
    (other / "core").touch()
    hints = seen(watched, FileWritten(shown(other), "core"))
    assert {hint.directory for hint in hints} == {shown(other)}


def test_nothing_is_reported_of_the_parent_of_an_absent_directory(
    watch: DirectoryWatch, scratch: Path, shown: Seen
) -> None:
    late = scratch / "late"
    watch.watch([shown(late)])

    (scratch / "core").touch()
    late.mkdir()

    assert {hint.directory for hint in seen(watch, Scan(shown(late)))} == {shown(late)}


def test_what_has_happened_is_told_once(watched: DirectoryWatch, spool: Path, shown: Seen) -> None:
    (spool / "core").touch()
    seen(watched, FileWritten(shown(spool), "core"))
    (spool / "other").touch()

    hints = seen(watched, FileWritten(shown(spool), "other"))

    assert hints.count(FileWritten(shown(spool), "other")) == 1


def test_polling_takes_threads_only_while_there_is_something_to_poll(spool: Path) -> None:
    with watching(Polling()) as watch:
        assert polling_threads() == []
        watch.watch([str(spool)])
        assert polling_threads() == ["polling", f"polling {spool}"]
        watch.watch([])
        assert polling_threads() == []
        watch.watch([str(spool)])
    assert polling_threads() == []


def test_a_directory_that_cannot_be_polled_is_absent_and_takes_no_thread(spool: Path) -> None:
    backend = Polling()

    assert not backend.add(str(spool / "absent"))

    assert polling_threads() == []
    backend.close()
