"""The order in which files are examined: no user's files can delay the cores of the PBX, however many there are.

Files are taken in turn from each directory and owner, the working directories of the PBX first. Between two files of
the PBX's users, at most a few of other users are examined.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from astbtd.sources.watched_directories import WatchedDirectory

MAX_OTHERS = 4
"""How many files of other users are examined before the next file of the PBX's users."""


@dataclass(frozen=True)
class FoundFile:
    """An entry of a directory. `is_foreign`: its `owner` is not a user of the PBX; the owner is None if it is gone."""

    directory: WatchedDirectory
    entry: str
    owner: int | None = None
    is_foreign: bool = False


def fair_order(files: Iterable[FoundFile]) -> Iterator[FoundFile]:
    """Yield the files in turn. Those of one directory and owner keep their order."""
    groups: dict[tuple[str, int | None], deque[FoundFile]] = defaultdict(deque)
    for file in files:
        groups[file.directory.directory, file.owner].append(file)
    in_order = sorted(groups.values(), key=lambda group: not group[0].directory.is_working_directory)
    of_pbx = _in_turn([group for group in in_order if not group[0].is_foreign])
    others = _in_turn([group for group in in_order if group[0].is_foreign])
    for file in of_pbx:
        yield file
        yield from _take(others, MAX_OTHERS)
    yield from others


def _in_turn(groups: list[deque[FoundFile]]) -> Iterator[FoundFile]:
    """Yield the first file of each group, then the second, and so on."""
    while groups:
        for group in groups:
            yield group.popleft()
        groups = [group for group in groups if group]


def _take(files: Iterator[FoundFile], count: int) -> Iterator[FoundFile]:
    for _ in range(count):
        file = next(files, None)
        if file is None:
            return
        yield file
