"""Capture: how long a process is stopped, with much memory in use, and with much more that is mapped and not used."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astbtd.capture.live_process import open_process
from astbtd.capture.snapshot import Snapshot, take_snapshot
from tests.bench.figures import Theme

_ROUNDS = 9
_USED, _MAPPED = 500, 8192  # MiB


def measure(program: Path) -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme("Capture", [])
    with _running(program, 0) as plain, _running(program, _MAPPED - _USED) as mapping:
        rounds = [(_capture(plain), _capture(mapping)) for _ in range(_ROUNDS)]
    without, with_unused = zip(*rounds, strict=True)
    reference = (f"without the unused memory, {_USED} MiB in use", [each.stopped_seconds * 1e3 for each in without])
    stopped = [each.stopped_seconds * 1e3 for each in with_unused]
    theme.compare(f"stopped, {_MAPPED} MiB mapped", stopped, "ms", reference, "≤ 1.1")
    return theme


@contextmanager
def _running(program: Path, unused: int) -> Iterator[int]:
    """Run the program in place of Asterisk; yield its process id when all of its memory is in use."""
    argv = [str(program / "asterisk"), "wait", "--threads", "75", "--megabytes", str(_USED), "--untouched", str(unused)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def _capture(pid: int) -> Snapshot:
    core = os.memfd_create("core")
    try:
        with open_process(pid) as process:
            return take_snapshot(process, core, lambda _: None)
    finally:
        os.close(core)
