"""The order in which files are examined."""

from itertools import pairwise

from astbtd.sources.watched_directories import WatchedDirectory
from astbtd.watch.fair_order import MAX_OTHERS, FoundFile, fair_order

SPOOL = WatchedDirectory("/var/spool/asterisk", is_working_directory=True)
TMP = WatchedDirectory("/tmp")
PBX, OTHER, THIRD = 110, 1000, 1001


def files(directory: WatchedDirectory, owner: int, count: int, *, foreign: bool = False) -> list[FoundFile]:
    return [FoundFile(directory, f"{owner}-{number}", owner, foreign) for number in range(count)]


def names(found: list[FoundFile]) -> list[str]:
    return [file.entry for file in fair_order(found)]


def test_every_file_is_examined_once() -> None:
    found = [*files(TMP, OTHER, 30, foreign=True), *files(SPOOL, PBX, 3), *files(TMP, PBX, 5)]

    assert sorted(names(found)) == sorted(file.entry for file in found)


def test_the_working_directory_of_the_pbx_comes_first() -> None:
    found = [*files(TMP, OTHER, 1000, foreign=True), *files(TMP, 0, 10), *files(SPOOL, PBX, 1)]

    assert names(found)[0] == "110-0"


def test_few_files_of_others_come_before_the_next_file_of_the_pbx() -> None:
    found = [*files(SPOOL, OTHER, 1300, foreign=True), *files(SPOOL, PBX, 5)]

    positions = [index for index, name in enumerate(names(found)) if name.startswith("110-")]

    assert [later - earlier - 1 for earlier, later in pairwise(positions)] == 4 * [MAX_OTHERS]
    assert positions[0] == 0


def test_other_users_take_turns() -> None:
    found = [*files(TMP, OTHER, 3, foreign=True), *files(TMP, THIRD, 3, foreign=True)]

    assert names(found) == ["1000-0", "1001-0", "1000-1", "1001-1", "1000-2", "1001-2"]
