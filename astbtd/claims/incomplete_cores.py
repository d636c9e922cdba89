"""Cores that are still being written, held open: whatever becomes of the name, what was begun is seen to its end."""

import os
from dataclasses import dataclass

from astbtd.sources.spot import WatchedDirectory

_MOST_HELD = 64
"""Descriptors: no machine dumps so many cores at once."""


@dataclass(frozen=True)
class IncompleteCore:
    """The core `name` in or below a spot, open at `descriptor` if it is held."""

    spot: WatchedDirectory
    name: str
    descriptor: int | None

    @property
    def path(self) -> str:
        return os.path.join(self.spot.directory, self.name)


class IncompleteCores:
    """Cores that somebody writes, by their paths."""

    def __init__(self) -> None:
        self._held: dict[str, IncompleteCore] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def all(self) -> list[IncompleteCore]:
        """All of them."""
        return list(self._held.values())

    def hold(self, held: IncompleteCore) -> None:
        """Keeps a core in mind; its descriptor is ours from now on."""
        self._close(self._held.pop(held.path, None))
        if len(self._held) >= _MOST_HELD:
            self._close(held)
            held = IncompleteCore(held.spot, held.name, None)
        self._held[held.path] = held

    def take(self, path: str) -> int | None:
        """Forgets a core and gives up its descriptor, if there is one."""
        held = self._held.pop(path, None)
        return held.descriptor if held else None

    def close(self) -> None:
        """Forgets all."""
        for held in self._held.values():
            self._close(held)
        self._held.clear()

    @staticmethod
    def _close(held: IncompleteCore | None) -> None:
        if held and held.descriptor is not None:
            os.close(held.descriptor)
