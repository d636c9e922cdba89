"""A memory cgroup with a limit, as the unit's MemoryMax= makes one, on hosts that permit it (version 1 or 2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

_ROOTS = {  # of each version: the directory, the file with the limit, and the file that counts what was killed
    "memory.limit_in_bytes": (Path("/sys/fs/cgroup/memory"), "memory.oom_control"),
    "memory.max": (Path("/sys/fs/cgroup"), "memory.events"),
}


@dataclass(frozen=True)
class MemoryCgroup:
    """A cgroup in `directory`; its file `events` counts the processes that the kernel has killed."""

    directory: Path
    events: str

    @property
    def wrapper(self) -> tuple[str, ...]:
        """The command that runs the command after it in this cgroup."""
        return ("sh", "-c", f'echo $$ >{self.directory}/cgroup.procs && exec "$@"', "sh")

    def killed(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        lines = (self.directory / self.events).read_text().splitlines()
        return int(dict(line.split() for line in lines).get("oom_kill", "0"))


@contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """Make a cgroup with a limit in bytes. Skip the test where that is not possible."""
    for name, (root, events) in _ROOTS.items():
        try:
            directory = Path(mkdtemp(prefix="astbtd-", dir=root))
        except OSError:
            continue
        if (directory / name).exists() and (directory / events).exists():
            (directory / name).write_text(str(limit))
            try:
                yield MemoryCgroup(directory, events)
            finally:
                directory.rmdir()
            return
        directory.rmdir()
    pytest.skip("this host has no memory cgroups, or permits no new one")
