"""A real file system that a program serves, as a file server would: changed unseen by this kernel, halted on cue."""

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

_MOUNTS = Path("/proc/self/mountinfo")
_NOTHING_CACHED = "attr_timeout=0,entry_timeout=0,negative_timeout=0"

needs_fuse = pytest.mark.skipif(
    not (shutil.which("bindfs") and os.path.exists("/dev/fuse")), reason="needs bindfs and /dev/fuse"
)


@dataclass(frozen=True)
class Served:
    """A directory, `behind`, that is shown at `front`."""

    behind: Path
    front: Path
    server: subprocess.Popen[bytes]

    def halt(self) -> None:
        """From now on whoever touches `front` hangs."""
        self.server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answers again, also whatever was asked meanwhile."""
        self.server.send_signal(signal.SIGCONT)


@contextmanager
def served(behind: Path, front: Path) -> Iterator[Served]:
    """Shows `behind` at `front` by bindfs as long as the context lasts."""
    with _MOUNTS.open() as mounts:
        server = subprocess.Popen(["bindfs", "-f", "-o", _NOTHING_CACHED, behind, front])
        try:
            _wait_for_a_mount(mounts.fileno(), front)
            yield Served(behind, front, server)
        finally:
            server.send_signal(signal.SIGCONT)
            subprocess.run(["umount", "--lazy", front], check=True)
            server.terminate()
            server.wait()


def _wait_for_a_mount(mounts: int, point: Path) -> None:
    changes = select.poll()
    changes.register(mounts, select.POLLPRI)
    while f" {point} " not in _MOUNTS.read_text():
        assert changes.poll(10_000), f"nothing is mounted at {point}"
