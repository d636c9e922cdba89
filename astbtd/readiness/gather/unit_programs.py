"""Finds the other programs of Asterisk's service that the kernel may write a core for, such as astcanary."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from astbtd.readiness.gather.process_facts import open_process, read_file, read_process
from astbtd.sources.core_pattern import CorePattern, Kind

_PROC = Path("/proc")


def find_other_programs(pid: int, pattern: CorePattern) -> tuple[str, ...]:
    """Return the names of the other programs in the control group of a process that may dump core where it does.

    A relative `pattern` leads to the working directory of each process. Raise OSError if the process has ended, or if
    its working directory may not be read.
    """
    with open_process(pid) as process:
        group = read_file(process, "cgroup")
        directory = os.stat("cwd", dir_fd=process) if pattern.kind is Kind.RELATIVE else None
    found = (_program(other, group, directory) for other in _other_pids(pid))
    return tuple(sorted({program for program in found if program}))


def _other_pids(pid: int) -> Iterator[int]:
    for entry in os.listdir(_PROC):
        if entry.isdigit() and int(entry) != pid:
            yield int(entry)


def _program(pid: int, group: bytes, directory: os.stat_result | None) -> str | None:
    """Return the name of a program in this control group and working directory, None if it is elsewhere or has ended.

    `directory` is None if it does not matter.
    """
    with suppress(OSError), open_process(pid) as process:
        if read_file(process, "cgroup") != group:
            return None
        if directory and not os.path.samestat(os.stat("cwd", dir_fd=process), directory):
            return None
        found = read_process(pid)
        if found.dumpable and found.core_limit.allows_core:
            return os.path.basename(os.fsdecode(found.command[0])) or None
    return None
