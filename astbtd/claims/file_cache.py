"""Remembers which files were looked at, each in the version that it had."""

import os
from collections import OrderedDict
from typing import Generic, TypeVar

_MOST = 20_000  # a busy /tmp has some thousands

T = TypeVar("T")


class FileCache(Generic[T]):
    """Files, of which the latest `most` are remembered, with something about each."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._files: OrderedDict[tuple[int, int], tuple[tuple[int, int], T]] = OrderedDict()

    def __contains__(self, status: os.stat_result) -> bool:
        return self.get(status) is not None

    def get(self, status: os.stat_result) -> T | None:
        """What is remembered of a file; None if it was another version of it."""
        version, what = self._files.get((status.st_dev, status.st_ino), (None, None))
        return what if version == (status.st_size, status.st_mtime_ns) else None

    def add(self, status: os.stat_result, what: T) -> None:
        """Remembers a file as it is now."""
        self._files[status.st_dev, status.st_ino] = (status.st_size, status.st_mtime_ns), what
        while len(self._files) > self._most:
            self._files.popitem(last=False)

    def remove(self, status: os.stat_result) -> None:
        """Forgets a file."""
        self._files.pop((status.st_dev, status.st_ino), None)
