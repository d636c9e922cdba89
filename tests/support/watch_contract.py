"""What every backend of DirectoryWatch must do, as a test class; the fixtures of a subclass select the backend."""

import select
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.watch.directory_watch import DirectoryCreated, DirectoryWatch, FileWritten, Hint, RescanNeeded

PathSeen = Callable[[Path], str]
"""The path by which the watch sees a directory that is changed under another path."""

TIMEOUT = 30.0  # seconds; only a failing test waits for so long


def wait_for(watch: DirectoryWatch, *awaited: Hint) -> list[Hint]:
    """Wait for these hints, and return all that came until then."""
    hints: list[Hint] = []
    wait(watch, hints, lambda: set(awaited) <= set(hints))
    return hints


def wait_until_unwatched(watch: DirectoryWatch, directory: str) -> None:
    """Wait until the watch has noticed that a directory is gone."""
    wait(watch, [], lambda: watch.unwatched() == (directory,))


def wait(watch: DirectoryWatch, hints: list[Hint], condition: Callable[[], bool]) -> None:
    """Collect hints until the condition is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        readable, _, _ = select.select([watch.fileno()], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"waited in vain, after {hints}"
        hints += watch.read_hints()


class BackendContract:
    """Inherit from it and define the fixtures `watch` and `path_seen`. `spool` must be a directory in `scratch`."""

    @pytest.fixture
    def watched(self, watch: DirectoryWatch, path_seen: PathSeen, spool: Path) -> DirectoryWatch:
        """A watch of the spool."""
        watch.watch([path_seen(spool)])
        assert watch.read_hints() == [RescanNeeded(path_seen(spool))]
        return watch

    def test_a_new_watch_asks_for_a_scan_once(self, watched: DirectoryWatch) -> None:
        watched.renew()

        assert watched.read_hints() == []
        assert watched.unwatched() == ()

    def test_a_file_closed_after_writing_is_reported(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        (spool / "core").write_bytes(b"dumped")

        wait_for(watched, FileWritten(path_seen(spool), "core"))

    def test_a_file_written_again_is_reported_again(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        (spool / "core").write_bytes(b"dumped")
        wait_for(watched, FileWritten(path_seen(spool), "core"))

        (spool / "core").write_bytes(b"dumped again")

        wait_for(watched, FileWritten(path_seen(spool), "core"))

    def test_a_file_replaced_by_another_with_its_name_is_reported(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        (spool / "core").write_bytes(b"the first crash")
        wait_for(watched, FileWritten(path_seen(spool), "core"))
        (spool / "claimed").hardlink_to(spool / "core")
        wait_for(watched, FileWritten(path_seen(spool), "claimed"))

        (spool / "core").unlink()
        (spool / "core").write_bytes(b"the second crash")

        wait_for(watched, FileWritten(path_seen(spool), "core"))

    def test_a_file_moved_in_is_reported(
        self, watched: DirectoryWatch, spool: Path, scratch: Path, path_seen: PathSeen
    ) -> None:
        (scratch / "dump").write_bytes(b"dumped elsewhere")

        (scratch / "dump").rename(spool / "core")

        wait_for(watched, FileWritten(path_seen(spool), "core"))

    def test_a_file_renamed_within_is_reported_by_its_new_name(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        (spool / ".core.part").write_bytes(b"copied")
        wait_for(watched, FileWritten(path_seen(spool), ".core.part"))

        (spool / ".core.part").rename(spool / "core")

        wait_for(watched, FileWritten(path_seen(spool), "core"))

    @pytest.mark.parametrize("name", ["a b\n(c", "größer", ".hidden", "+"])
    def test_names_are_reported_as_they_are(
        self, watched: DirectoryWatch, spool: Path, name: str, path_seen: PathSeen
    ) -> None:
        (spool / name).touch()

        wait_for(watched, FileWritten(path_seen(spool), name))

    def test_a_name_that_cannot_be_decoded_asks_for_a_scan_or_is_reported(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        hints: list[Hint] = []

        (spool / "core").touch()
        (spool / "\udcff\udcfe").touch()
        (spool / "later").touch()

        wait(
            watched,
            hints,
            lambda: (
                {RescanNeeded(path_seen(spool)), FileWritten(path_seen(spool), "\udcff\udcfe")} & set(hints) != set()
            ),
        )
        (spool / "next").touch()
        wait_for(watched, FileWritten(path_seen(spool), "next"))

    def test_subdirectories_are_reported_but_not_watched(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        (spool / "below").mkdir()
        (spool / "below" / "core").touch()
        (spool / "core").touch()

        # Polling reports the files of a directory before its subdirectories, whatever was created first.
        expected = (DirectoryCreated(path_seen(spool), "below"), FileWritten(path_seen(spool), "core"))
        assert set(wait_for(watched, *expected)) == set(expected)

    def test_a_directory_that_appears_late_is_scanned_and_watched(
        self, watch: DirectoryWatch, scratch: Path, path_seen: PathSeen
    ) -> None:
        late = scratch / "not" / "yet"
        watch.watch([path_seen(late)])
        assert watch.unwatched() == (path_seen(late),)

        late.mkdir(parents=True)

        wait_for(watch, RescanNeeded(path_seen(late)))
        assert watch.unwatched() == ()
        (late / "core").touch()
        wait_for(watch, FileWritten(path_seen(late), "core"))

    def test_a_directory_that_is_deleted_and_created_again_is_watched_again(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        spool.rmdir()
        wait_until_unwatched(watched, path_seen(spool))

        spool.mkdir()

        wait_for(watched, RescanNeeded(path_seen(spool)))
        (spool / "core").touch()
        wait_for(watched, FileWritten(path_seen(spool), "core"))

    def test_a_directory_that_is_renamed_away_and_replaced_is_watched_under_its_old_name(
        self, watched: DirectoryWatch, spool: Path, scratch: Path, path_seen: PathSeen
    ) -> None:
        away = spool.rename(scratch / "away")
        spool.mkdir()
        wait_for(watched, RescanNeeded(path_seen(spool)))

        (away / "left").touch()
        (spool / "core").touch()

        hints = wait_for(watched, FileWritten(path_seen(spool), "core"))
        assert FileWritten(path_seen(spool), "left") not in hints

    def test_a_directory_renamed_away_is_unwatched_until_it_comes_back(
        self, watched: DirectoryWatch, spool: Path, scratch: Path, path_seen: PathSeen
    ) -> None:
        spool.rename(scratch / "away")
        wait_until_unwatched(watched, path_seen(spool))
        (scratch / "away" / "core").touch()

        (scratch / "away").rename(spool)

        wait_for(watched, RescanNeeded(path_seen(spool)))

    def test_a_replacement_without_an_event_is_detected_when_watches_are_renewed(
        self, watched: DirectoryWatch, spool: Path, scratch: Path, path_seen: PathSeen
    ) -> None:
        spool.rename(scratch / "away")
        spool.mkdir()

        watched.renew()

        assert RescanNeeded(path_seen(spool)) in watched.read_hints()
        (spool / "core").touch()
        wait_for(watched, FileWritten(path_seen(spool), "core"))

    def test_a_watched_directory_in_a_watched_directory_is_reported(
        self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen
    ) -> None:
        within = spool / "within"
        within.mkdir()
        watched.watch([path_seen(spool), path_seen(within)])
        wait_for(watched, RescanNeeded(path_seen(within)))

        (within / "core").touch()
        wait_for(watched, FileWritten(path_seen(within), "core"))
        shutil.rmtree(within)

        wait_until_unwatched(watched, path_seen(within))

    def test_only_the_new_set_is_watched_after_a_change(
        self, watched: DirectoryWatch, spool: Path, scratch: Path, path_seen: PathSeen
    ) -> None:
        other = scratch / "other"
        other.mkdir()

        watched.watch([path_seen(other)])

        assert watched.read_hints() == [RescanNeeded(path_seen(other))]
        (spool / "core").touch()
        (other / "core").touch()
        hints = wait_for(watched, FileWritten(path_seen(other), "core"))
        assert {hint.directory for hint in hints} == {path_seen(other)}

    def test_nothing_is_reported_about_the_parent_of_a_missing_directory(
        self, watch: DirectoryWatch, scratch: Path, path_seen: PathSeen
    ) -> None:
        late = scratch / "late"
        watch.watch([path_seen(late)])

        (scratch / "core").touch()
        late.mkdir()

        assert {hint.directory for hint in wait_for(watch, RescanNeeded(path_seen(late)))} == {path_seen(late)}

    def test_an_event_is_reported_once(self, watched: DirectoryWatch, spool: Path, path_seen: PathSeen) -> None:
        (spool / "core").touch()
        wait_for(watched, FileWritten(path_seen(spool), "core"))
        (spool / "other").touch()

        hints = wait_for(watched, FileWritten(path_seen(spool), "other"))

        assert hints.count(FileWritten(path_seen(spool), "other")) == 1
