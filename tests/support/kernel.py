"""Changes kernel settings for a test, and puts them back."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_KERNEL = Path("/proc/sys/kernel")
_INOTIFY = Path("/proc/sys/fs/inotify")


@contextmanager
def setting(path: Path, value: str) -> Iterator[None]:
    """Sets one kernel setting while the context lasts, and puts it back, whoever has changed it meanwhile."""
    before = path.read_text()
    if before.strip() != value:
        path.write_text(value)
    try:
        yield
    finally:
        if path.read_text() != before:
            path.write_text(before)


@contextmanager
def core_pattern(pattern: str, *, uses_pid: bool = False) -> Iterator[None]:
    """Lets the kernel write cores as `pattern` says, adding the pid if told to."""
    with ExitStack() as stack:
        stack.enter_context(setting(_KERNEL / "core_pattern", pattern))
        stack.enter_context(setting(_KERNEL / "core_uses_pid", str(int(uses_pid))))
        yield


def sends_cores_to_sockets() -> bool:
    """Whether the kernel does, both ways, as of Linux 6.17, and is told so from its first mount name space."""
    pattern = _KERNEL / "core_pattern"
    before = pattern.read_text()
    try:
        pattern.write_text("@@/run/nobody.socket")
    except OSError:
        return False
    pattern.write_text(before)
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 17)


@contextmanager
def cores_in_working_directory() -> Iterator[None]:
    """The kernel's own default, and Debian's: `core` in the working directory of the process."""
    with core_pattern("core"):
        yield


@contextmanager
def short_event_queue(events: int) -> Iterator[None]:
    """Lets new inotify queues hold only so many events."""
    with setting(_INOTIFY / "max_queued_events", str(events)):
        yield
