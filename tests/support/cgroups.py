"""Control groups with one setting, as systemd makes them for a unit, on hosts that permit it (version 1 or 2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

_ROOT = Path("/sys/fs/cgroup")
_EVENTS = ("memory.oom_control", "memory.events")  # where each version counts the killed processes
_DEFAULT_WEIGHT, _DEFAULT_SHARES = 100, 1024  # CPUWeight= and its file in version 1


@dataclass(frozen=True)
class Cgroup:
    """A control group."""

    directory: Path

    @property
    def wrapper(self) -> tuple[str, ...]:
        """The command that runs the command after it in this group."""
        return ("sh", "-c", f'echo $$ >{self.directory}/cgroup.procs && exec "$@"', "sh")

    def killed(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        files = filter(Path.exists, (self.directory / name for name in _EVENTS))
        lines = next(files).read_text().splitlines()
        return int(dict(line.split() for line in lines).get("oom_kill", "0"))


@contextmanager
def memory_cgroup(limit: int) -> Iterator[Cgroup | None]:
    """Make a group with a limit in bytes, like MemoryMax=. Yield None where that is not possible."""
    with _cgroup({"memory.limit_in_bytes": (_ROOT / "memory", limit), "memory.max": (_ROOT, limit)}) as group:
        yield group


@contextmanager
def cpu_cgroup(weight: int = _DEFAULT_WEIGHT) -> Iterator[Cgroup | None]:
    """Make a group with a share of the processors, like CPUWeight=. Yield None where that is not possible."""
    shares = weight * _DEFAULT_SHARES // _DEFAULT_WEIGHT
    with _cgroup({"cpu.shares": (_ROOT / "cpu", shares), "cpu.weight": (_ROOT, weight)}) as group:
        yield group


@contextmanager
def _cgroup(versions: dict[str, tuple[Path, int]]) -> Iterator[Cgroup | None]:
    """Make a group of the first version in which it has such a file; `versions` also has its root and the value."""
    for name, (root, value) in versions.items():
        try:
            directory = Path(mkdtemp(prefix="astbtd-", dir=root))
        except OSError:
            continue
        try:
            if (directory / name).exists():
                (directory / name).write_text(str(value))
                yield Cgroup(directory)
                return
        finally:
            directory.rmdir()
    yield None
