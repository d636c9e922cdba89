"""List the files from which a running process has mapped code, as /proc/PID/maps shows them.

What the list says is checked again when a file is opened: by then, another file may be at its path.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_MAX_BYTES = 16 << 20  # of a list: 65,530 mappings, Linux's default limit, with long paths
_CODE = re.compile(rb"[0-9a-f]+-[0-9a-f]+ ..x. [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) +(/.*)")
_DELETED = b" (deleted)"


@dataclass(frozen=True)
class MappedCode:
    """A file from which code is mapped. `inode` is its number, `path` its path in the process."""

    path: str
    inode: int


@contextmanager
def opened_process(pid: int) -> Iterator[int]:
    """Open the /proc directory of a process. If the pid is reused, the descriptor does not show the new process."""
    descriptor = os.open(_PROC / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_mapped_code(process: int) -> tuple[MappedCode, ...]:
    """Return the files from which code is mapped in an open process, each once. Raise OSError.

    Omit files that were removed or replaced since: nothing but their mappings is left of them.
    """
    with open(os.open("maps", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process), "rb") as maps:
        content = maps.read(_MAX_BYTES)
    found: dict[bytes, MappedCode] = {}
    for line in content.splitlines():
        match = _CODE.fullmatch(line)
        if match and not match[2].endswith(_DELETED):
            found.setdefault(match[2], MappedCode(os.fsdecode(match[2]), int(match[1])))
    return tuple(found.values())


def open_executable(process: int) -> int:
    """Open the program of an open process, even if it was replaced on disk, and return the descriptor. Raise OSError.

    The link in /proc leads to the program itself, not to its path.
    """
    return os.open("exe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=process)
