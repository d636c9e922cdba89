"""Directories are watched with inotify or by polling, and missing directories as soon as they exist."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astbtd.watch.directory_watch import Backend, DirectoryWatch
from astbtd.watch.inotify import Inotify, InotifyWithFallback
from astbtd.watch.polling import Polling
from tests.support.watch_contract import BackendContract, PathSeen

INTERVAL = 0.05  # seconds

BACKENDS: dict[str, Callable[[], Backend]] = {
    "inotify": Inotify,
    "inotify with fallback": InotifyWithFallback,
    "polling": lambda: Polling(INTERVAL),
}


class TestBackends(BackendContract):
    """Each backend, on a local file system."""

    @pytest.fixture
    def scratch(self, tmp_path: Path) -> Path:
        return tmp_path

    @pytest.fixture
    def path_seen(self) -> PathSeen:
        return str

    @pytest.fixture(params=BACKENDS)
    def watch(self, request: pytest.FixtureRequest) -> Iterator[DirectoryWatch]:
        watch = DirectoryWatch(BACKENDS[request.param]())
        yield watch
        watch.close()


class RefusingBackend:
    """Refuses to watch anything."""

    def fileno(self) -> int:
        return -1

    def add(self, _: str) -> bool:
        return False


def test_a_directory_that_the_backend_refuses_is_unwatched(spool: Path) -> None:
    watch = DirectoryWatch(RefusingBackend())  # type: ignore[arg-type]

    watch.watch([str(spool)])

    assert watch.unwatched() == (str(spool),)
