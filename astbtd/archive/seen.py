"""The identities of all cores ever collected, one a line, the latest last: a list too long to hold in memory."""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from astbtd import durable

_MOST = 200_000  # twice as many as records are kept by default


def every(path: Path) -> Iterator[str]:
    """All identities; there may be hundreds of thousands."""
    with suppress(FileNotFoundError), path.open() as lines:
        yield from filter(None, map(str.strip, lines))


def among(path: Path, identities: Collection[str]) -> set[str]:
    """Those of the identities that are in the list."""
    return {identity for identity in every(path) if identity in identities}


def shorten(path: Path) -> None:
    """Keeps the list from growing for ever: the oldest cores are long gone."""
    if sum(1 for _ in every(path)) > 2 * _MOST:
        latest = "".join(f"{identity}\n" for identity in deque(every(path), _MOST))
        durable.replace(path, latest.encode(), durable.PRIVATE_FILE_MODE)
