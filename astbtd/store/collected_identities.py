"""The identities of all cores ever collected, one a line, the latest last: a list too long to hold in memory."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from astbtd.lib import files

_MOST = 200_000  # twice as many as records are kept by default


def every(path: Path) -> Iterator[str]:
    """All identities; there may be hundreds of thousands."""
    with suppress(FileNotFoundError), path.open(errors="replace") as lines:
        yield from filter(None, map(str.strip, lines))


def among(path: Path, identities: Collection[str]) -> set[str]:
    """Those of the identities that are in the list."""
    return {identity for identity in every(path) if identity in identities}


def shorten(path: Path) -> None:
    """Keeps the list from growing for ever: the oldest cores are long gone."""
    if sum(1 for _ in every(path)) > 2 * _MOST:
        _replace(path, deque(every(path), _MOST))


def take_out(path: Path, junk: Collection[str]) -> None:
    """Takes lines out of the list."""
    _replace(path, (identity for identity in every(path) if identity not in junk))


def _replace(path: Path, identities: Iterable[str]) -> None:
    lines = "".join(f"{identity}\n" for identity in identities)
    files.replace(path, lines.encode(), files.PRIVATE_FILE_MODE)
