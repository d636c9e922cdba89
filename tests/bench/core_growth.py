"""Growth of a core: what ten times as many channels, or threads, cost. All sections are to grow in proportion."""

import shutil
from pathlib import Path

from tests.bench.figures import Theme
from tests.bench.filled_store import installed
from tests.bench.usage import run
from tests.support.harness import crash, scratch_directory

_ROUNDS = 3
_CHANNELS_EACH = 3  # of the program; likewise taskprocessors and bridges; four threads with locks
_BUSY = (33, 333)  # about 100 channels, and 1,000
_THREADS = (200, 2000)
_LIMIT = "≤ 12"


def measure(small: Path, pbx: Path) -> Theme:
    """Run the benchmark and return its figures. `small` and `pbx` are directories of built programs."""
    theme = Theme("Growth of a core", [])
    with scratch_directory() as directory:
        _, astbtd = installed(directory / "installed")
        few, many = (_core(directory, f"pbx-{count}", pbx / "pbx-22", "--busy", str(count)) for count in _BUSY)
        calls = f"{_BUSY[1] * _CHANNELS_EACH:,} channels, with bridges, taskprocessors and locks"
        _compare(theme, astbtd, f"CPU, {calls}", (few, many), f"{_BUSY[0] * _CHANNELS_EACH} channels")
        few, many = (_core(directory, f"threads-{count}", small, "segv", "--threads", str(count)) for count in _THREADS)
        _compare(theme, astbtd, f"CPU, {_THREADS[1]:,} threads", (few, many), f"{_THREADS[0]} threads")
    return theme


def _core(directory: Path, name: str, program: Path, *arguments: str) -> Path:
    (directory / name).mkdir()
    return crash(program, directory / name, *arguments)


def _compare(theme: Theme, astbtd: list[str], name: str, cores: tuple[Path, Path], reference: str) -> None:
    few, many = zip(*([_extract(astbtd, core) for core in cores] for _ in range(_ROUNDS)), strict=True)
    theme.compare(name, many, "s", (reference, few), _LIMIT)


def _extract(astbtd: list[str], core: Path) -> float:
    """Return the CPU time of `astbtd extract` and of its gdb."""
    output = core.with_name("output")
    shutil.rmtree(output, ignore_errors=True)
    return run([*astbtd, "extract", "--output", output, core]).cpu
