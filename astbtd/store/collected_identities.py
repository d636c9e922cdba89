"""The identities of all cores ever collected: a file with one per line, the latest last, too long to hold in memory."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import files

_MOST = 200_000  # lines; twice as many as records are kept by default


@dataclass(frozen=True)
class CollectedIdentities:
    """The list in the file `path`. A core in it is not collected again. `lock` is held while the list changes."""

    path: Path
    lock: Callable[[], AbstractContextManager[None]]

    def all(self) -> set[str]:
        """Return all identities."""
        return set(self._lines())

    def among(self, identities: Collection[str]) -> set[str]:
        """Return those of these identities that are in the list."""
        return {identity for identity in self._lines() if identity in identities}

    def add(self, identity: str) -> None:
        """Record, durably, that a core was collected."""
        with self.lock():
            files.append_line(self.path, identity)

    def discard(self, lines: Collection[str]) -> None:
        """Remove these lines from the list."""
        with self.lock():
            self._replace(line for line in self._lines() if line not in lines)

    def drop_oldest(self) -> None:
        """Shorten a list that has grown too long. The oldest cores no longer exist."""
        with self.lock():
            if sum(1 for _ in self._lines()) > 2 * _MOST:
                self._replace(deque(self._lines(), _MOST))

    def _lines(self) -> Iterator[str]:
        with suppress(FileNotFoundError), self.path.open(errors="replace") as lines:
            yield from filter(None, map(str.strip, lines))

    def _replace(self, identities: Iterable[str]) -> None:
        lines = "".join(f"{identity}\n" for identity in identities)
        files.replace(self.path, lines.encode(), files.PRIVATE_FILE_MODE)
