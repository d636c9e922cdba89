"""Changes kernel settings for a test and restores them, and knows what the kernel can do.

All processes of the machine share these settings. A test that changes one is marked `serial`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
_CORE_USES_PID = Path("/proc/sys/kernel/core_uses_pid")
_MAX_QUEUED_EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")
_RELEASE = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
_FIRST_WITH_SOCKETS = (6, 17)

needs_time_slices = pytest.mark.skipif(_RELEASE < (6, 12), reason="programs can set time slices since Linux 6.12")


@contextmanager
def changed_setting(path: Path, value: str) -> Iterator[None]:
    """Set one kernel setting for the duration of a block, and restore it even if it changed again meanwhile.

    Raise RuntimeError in a worker of pytest-xdist, where tests of other workers would be affected.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        raise RuntimeError(f"this test changes {path} and must be marked serial")
    with _restored(path):
        _write(path, value)
        yield


@contextmanager
def core_pattern(pattern: str, *, uses_pid: bool = False) -> Iterator[None]:
    """Set core_pattern and core_uses_pid for the duration of a block."""
    with changed_setting(_CORE_PATTERN, pattern), changed_setting(_CORE_USES_PID, str(int(uses_pid))):
        yield


@contextmanager
def short_event_queue(events: int) -> Iterator[None]:
    """Limit the queues of new inotify instances to so many events for the duration of a block."""
    with changed_setting(_MAX_QUEUED_EVENTS, str(events)):
        yield


@contextmanager
def cores_in_working_directory() -> Iterator[None]:
    """Let the kernel write `core` into the working directory of the process, for the duration of a block."""
    with restored_core_pattern():
        use_default_core_pattern()
        yield


def use_default_core_pattern() -> None:
    """Let the kernel write `core` into the working directory of the process: the default of the kernel and of Debian.

    Several workers may call this at once. `restored_core_pattern` in the process that started them undoes it.
    """
    _write(_CORE_PATTERN, "core")
    _write(_CORE_USES_PID, "0")


@contextmanager
def restored_core_pattern() -> Iterator[None]:
    """Restore core_pattern and core_uses_pid at the end of a block."""
    with ExitStack() as stack:
        for path in (_CORE_PATTERN, _CORE_USES_PID):
            stack.enter_context(_restored(path))
        yield


def sends_cores_to_sockets() -> bool:
    """Return whether the kernel accepts both socket forms of core_pattern.

    It does as of Linux 6.17, and only in its initial mount namespace.
    """
    with _restored(_CORE_PATTERN):
        try:
            _write(_CORE_PATTERN, "@@/run/nobody.socket")
        except OSError:
            return False
    return _RELEASE >= _FIRST_WITH_SOCKETS


@contextmanager
def _restored(path: Path) -> Iterator[None]:
    before = path.read_text()
    try:
        yield
    finally:
        if path.read_text() != before:
            path.write_text(before)


def _write(path: Path, value: str) -> None:
    """Write a setting only if it differs: a container may read these files and not write them."""
    if path.read_text() != f"{value}\n":
        path.write_text(value)
