"""Directories are watched through inotify or by polling, and both keep the same promises."""

import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from astbtd.intake.inotify import Inotify
from astbtd.intake.polling import Polling
from astbtd.intake.watch import BackendMaker, DirectoryWatch, Hint, Scan, Written
from astbtd.model import Found
from tests.harness import PATIENCE, RunningDaemon, crash

BACKENDS: dict[str, BackendMaker] = {"inotify": Inotify, "polling": partial(Polling, seconds=0.05)}

needs_fuse = pytest.mark.skipif(
    not (shutil.which("bindfs") and os.path.exists("/dev/fuse")), reason="needs bindfs and /dev/fuse"
)


@contextmanager
def watching(choose: Callable[[str], BackendMaker]) -> Iterator[DirectoryWatch]:
    watch = DirectoryWatch(choose)
    try:
        yield watch
    finally:
        watch.close()


@pytest.fixture(params=BACKENDS)
def watch(request: pytest.FixtureRequest) -> Iterator[DirectoryWatch]:
    """A watch that uses one backend for every directory."""
    with watching(lambda _: BACKENDS[request.param]) as watch:
        yield watch


@pytest.fixture
def watched(watch: DirectoryWatch, spool: Path) -> DirectoryWatch:
    """The same, with an eye on the spool."""
    watch.watch([str(spool)])
    assert watch.hints() == [Scan(str(spool))]
    return watch


@contextmanager
def passed_through(behind: Path, front: Path) -> Iterator[None]:
    """Shows `behind` at `front` through FUSE: changes made behind it are not made through its file system."""
    subprocess.run(["bindfs", behind, front], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", front], check=True)


def seen(watch: DirectoryWatch, *awaited: Hint) -> list[Hint]:
    """Waits for these hints; returns all that came by then."""
    hints: list[Hint] = []
    wait(watch, hints, lambda: set(awaited) <= set(hints))
    return hints


def lost(watch: DirectoryWatch, directory: Path) -> None:
    """Waits until the directory's absence is known."""
    wait(watch, [], lambda: watch.absent() == (str(directory),))


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


def test_a_file_closed_after_writing_is_reported(watched: DirectoryWatch, spool: Path) -> None:
    (spool / "core").write_bytes(b"dumped")

    seen(watched, Written(str(spool), "core"))


def test_a_file_written_once_more_is_reported_once_more(watched: DirectoryWatch, spool: Path) -> None:
    (spool / "core").write_bytes(b"dumped")
    seen(watched, Written(str(spool), "core"))

    (spool / "core").write_bytes(b"dumped again")

    seen(watched, Written(str(spool), "core"))


def test_a_file_replaced_by_another_of_its_name_is_reported(watched: DirectoryWatch, spool: Path) -> None:
    (spool / "core").write_bytes(b"the first crash")
    seen(watched, Written(str(spool), "core"))
    (spool / "claimed").hardlink_to(spool / "core")
    seen(watched, Written(str(spool), "claimed"))

    (spool / "core").unlink()
    (spool / "core").write_bytes(b"the second crash")

    seen(watched, Written(str(spool), "core"))


def test_a_file_moved_in_is_reported(watched: DirectoryWatch, spool: Path, scratch: Path) -> None:
    (scratch / "dump").write_bytes(b"dumped elsewhere")

    (scratch / "dump").rename(spool / "core")

    seen(watched, Written(str(spool), "core"))


def test_a_file_renamed_within_is_reported_by_its_new_name(watched: DirectoryWatch, spool: Path) -> None:
    (spool / ".core.part").write_bytes(b"copied")
    seen(watched, Written(str(spool), ".core.part"))

    (spool / ".core.part").rename(spool / "core")

    seen(watched, Written(str(spool), "core"))


@pytest.mark.parametrize("name", ["a b\n(c", "größer", ".hidden", "+"])
def test_names_are_reported_as_they_are(watched: DirectoryWatch, spool: Path, name: str) -> None:
    (spool / name).touch()

    seen(watched, Written(str(spool), name))


def test_a_name_that_is_no_text_leads_there_all_the_same(watched: DirectoryWatch, spool: Path) -> None:
    hints: list[Hint] = []

    (spool / "core").touch()
    (spool / "\udcff\udcfe").touch()
    (spool / "later").touch()

    wait(watched, hints, lambda: {Scan(str(spool)), Written(str(spool), "\udcff\udcfe")} & set(hints) != set())
    (spool / "next").touch()
    seen(watched, Written(str(spool), "next"))


def test_directories_within_are_neither_reported_nor_looked_into(watched: DirectoryWatch, spool: Path) -> None:
    (spool / "below").mkdir()
    (spool / "below" / "core").touch()
    (spool / "core").touch()

    hints = seen(watched, Written(str(spool), "core"))

    assert set(hints) == {Written(str(spool), "core")}


def test_a_directory_that_appears_late_is_scanned_and_watched(watch: DirectoryWatch, scratch: Path) -> None:
    late = scratch / "not" / "yet"
    watch.watch([str(late)])
    assert watch.absent() == (str(late),)

    late.mkdir(parents=True)

    seen(watch, Scan(str(late)))
    assert watch.absent() == ()
    (late / "core").touch()
    seen(watch, Written(str(late), "core"))


def test_a_directory_that_is_deleted_and_made_anew_is_watched_again(watched: DirectoryWatch, spool: Path) -> None:
    spool.rmdir()
    lost(watched, spool)

    spool.mkdir()

    seen(watched, Scan(str(spool)))
    (spool / "core").touch()
    seen(watched, Written(str(spool), "core"))


def test_a_directory_that_is_renamed_away_and_replaced_is_watched_under_its_old_name(
    watched: DirectoryWatch, spool: Path, scratch: Path
) -> None:
    away = spool.rename(scratch / "away")
    spool.mkdir()
    seen(watched, Scan(str(spool)))

    (away / "left").touch()
    (spool / "core").touch()

    hints = seen(watched, Written(str(spool), "core"))
    assert Written(str(spool), "left") not in hints


def test_a_directory_renamed_away_is_absent_until_it_comes_back(
    watched: DirectoryWatch, spool: Path, scratch: Path
) -> None:
    spool.rename(scratch / "away")
    lost(watched, spool)
    (scratch / "away" / "core").touch()

    (scratch / "away").rename(spool)

    seen(watched, Scan(str(spool)))


def test_a_replacement_that_went_unnoticed_is_mended_by_rearming(
    watched: DirectoryWatch, spool: Path, scratch: Path
) -> None:
    spool.rename(scratch / "away")
    spool.mkdir()

    watched.rearm()

    assert Scan(str(spool)) in watched.hints()
    (spool / "core").touch()
    seen(watched, Written(str(spool), "core"))


def test_of_two_watched_directories_within_each_other_both_are_reported(watched: DirectoryWatch, spool: Path) -> None:
    within = spool / "within"
    within.mkdir()
    watched.watch([str(spool), str(within)])
    seen(watched, Scan(str(within)))

    (within / "core").touch()
    seen(watched, Written(str(within), "core"))
    shutil.rmtree(within)

    lost(watched, within)


def test_a_changed_set_is_what_is_watched(watched: DirectoryWatch, spool: Path, scratch: Path) -> None:
    other = scratch / "other"
    other.mkdir()

    watched.watch([str(other)])

    assert watched.hints() == [Scan(str(other))]
    (spool / "core").touch()
    (other / "core").touch()
    hints = seen(watched, Written(str(other), "core"))
    assert {hint.directory for hint in hints} == {str(other)}


def test_nothing_is_reported_of_the_parent_of_an_absent_directory(watch: DirectoryWatch, scratch: Path) -> None:
    late = scratch / "late"
    watch.watch([str(late)])

    (scratch / "core").touch()
    late.mkdir()

    assert {hint.directory for hint in seen(watch, Scan(str(late)))} == {str(late)}


def test_what_has_happened_is_told_once(watched: DirectoryWatch, spool: Path) -> None:
    (spool / "core").touch()
    seen(watched, Written(str(spool), "core"))
    (spool / "other").touch()

    hints = seen(watched, Written(str(spool), "other"))

    assert hints.count(Written(str(spool), "other")) == 1


def test_polling_takes_threads_only_while_there_is_something_to_poll(spool: Path) -> None:
    with watching(lambda _: BACKENDS["polling"]) as watch:
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


@needs_fuse
def test_each_directory_has_the_backend_that_its_file_system_needs(scratch: Path, spool: Path) -> None:
    behind, front = scratch / "behind", scratch / "front"
    behind.mkdir()
    front.mkdir()
    watch = DirectoryWatch()
    with passed_through(behind, front):
        watch.watch([str(spool), str(front)])
        assert polling_threads() == ["polling", f"polling {front}"]
        (spool / "core").touch()
        (behind / "core").touch()
        seen(watch, Written(str(spool), "core"), Written(str(front), "core"))
        watch.close()


@needs_fuse
def test_a_directory_that_is_mounted_over_is_polled_from_the_next_rearming_on(scratch: Path, spool: Path) -> None:
    behind = scratch / "behind"
    behind.mkdir()
    watch = DirectoryWatch()
    watch.watch([str(spool)])
    assert polling_threads() == []
    with passed_through(behind, spool):
        watch.rearm()
        (behind / "core").touch()
        seen(watch, Scan(str(spool)), Written(str(spool), "core"))
    watch.rearm()
    assert polling_threads() == []
    watch.close()


@pytest.fixture
def behind(running: RunningDaemon, scratch: Path, spool: Path) -> Iterator[Path]:
    """What the spool of the running daemon shows through FUSE: there Asterisk works, as on another machine."""
    behind = scratch / "behind"
    behind.mkdir()
    with passed_through(behind, spool):
        running.start()
        yield behind


@needs_fuse
def test_a_core_written_where_inotify_cannot_see_is_collected(
    running: RunningDaemon, programs: Path, spool: Path, behind: Path
) -> None:
    crash(programs, behind, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core")
    assert recorded.core.found is Found.EVENT
    assert list(behind.iterdir()) == []


@needs_fuse
def test_a_core_that_arrives_in_pieces_where_leases_do_not_tell_is_taken_when_complete(
    running: RunningDaemon, programs: Path, scratch: Path, behind: Path
) -> None:
    whole = crash(programs, scratch, "segv").read_bytes()
    half = len(whole) // 2
    (behind / "arriving").write_bytes(whole[:half])
    crash(programs, behind, "abort")
    assert [each.signal.name for each in running.wait_for_crashes(1) if each.signal] == ["SIGABRT"]
    with (behind / "arriving").open("ab") as arriving:
        arriving.write(whole[half:])
    assert [each.core.truncated for each in running.wait_for_crashes(2)] == [False, False]


@needs_fuse
def test_a_core_that_stays_cut_short_where_leases_do_not_tell_is_collected_as_truncated(
    running: RunningDaemon, programs: Path, scratch: Path, behind: Path
) -> None:
    whole = crash(programs, scratch, "segv").read_bytes()
    (scratch / "cut").write_bytes(whole[: len(whole) // 2])
    os.utime(scratch / "cut", (1_000_000_000, 1_000_000_000))
    (scratch / "cut").rename(behind / "core")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.truncated
