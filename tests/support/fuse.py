"""A FUSE file system: like a network file system, it changes without inotify events, and its server can hang."""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.harness import suspend

_MOUNTS = Path("/proc/self/mountinfo")
_NO_CACHE = "attr_timeout=0,entry_timeout=0,negative_timeout=0"

needs_fuse = pytest.mark.skipif(
    not (shutil.which("bindfs") and os.path.exists("/dev/fuse")), reason="needs bindfs and /dev/fuse"
)


@dataclass(frozen=True)
class Served:
    """The directory `backing`, which is mounted at `mount_point`."""

    backing: Path
    mount_point: Path
    server: subprocess.Popen[bytes]

    def suspend(self) -> None:
        """Suspend the server: all calls on `mount_point` block."""
        suspend(self.server)

    def resume(self) -> None:
        """Resume the server: blocked calls complete."""
        self.server.send_signal(signal.SIGCONT)


@contextmanager
def served(backing: Path, mount_point: Path) -> Iterator[Served]:
    """Mount `backing` at `mount_point` with bindfs for the duration of a block."""
    with _MOUNTS.open() as mounts:
        server = subprocess.Popen(["bindfs", "-f", "-o", _NO_CACHE, backing, mount_point])
        try:
            _wait_for_mount(mounts.fileno(), mount_point)
            yield Served(backing, mount_point, server)
        finally:
            server.send_signal(signal.SIGCONT)
            subprocess.run(["umount", "--lazy", mount_point], check=True)
            server.terminate()
            server.wait()


def _wait_for_mount(mounts: int, mount_point: Path) -> None:
    changes = select.poll()
    changes.register(mounts, select.POLLPRI)
    while f" {mount_point} " not in _MOUNTS.read_text():
        assert changes.poll(10_000), f"nothing is mounted at {mount_point}"
