"""Directories on a remote file system are watched by polling, as reliably as local ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.watch.directory_watch import DirectoryWatch
from astbtd.watch.polling import Polling
from tests.support.fuse import needs_fuse, served
from tests.support.harness import scratch_directory
from tests.support.watch_contract import BackendContract, PathSeen

pytestmark = needs_fuse

INTERVAL = 0.05  # seconds


class TestPollingOfFuse(BackendContract):
    """All changes are made behind the back of the kernel that polls."""

    @pytest.fixture
    def path_seen(self, scratch: Path) -> Iterator[PathSeen]:
        with scratch_directory() as front, served(scratch, front):
            yield lambda directory: str(front / directory.relative_to(scratch))

    @pytest.fixture
    def watch(self, path_seen: PathSeen) -> Iterator[DirectoryWatch]:  # noqa: ARG002 - ends before the mount does
        watch = DirectoryWatch(Polling(INTERVAL))
        yield watch
        watch.close()
