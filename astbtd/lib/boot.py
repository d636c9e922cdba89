"""The current boot of this machine: its id, and when it began. Formats: proc(5), `/proc/stat`."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

_STATISTICS = Path("/proc/stat")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_TIME = "btime "  # the line with the time in seconds since 1970


def boot_id_at(moment: datetime) -> str | None:
    """Return the id of the current boot, as journald prints it, if `moment` is after its start; else None."""
    started = boot_time()
    if started is None or moment.timestamp() < started:
        return None
    with suppress(OSError):
        return _BOOT_ID.read_text().strip().replace("-", "")
    return None


def boot_time() -> int | None:
    """Return when the machine was started, in seconds since 1970; None if unknown.

    The kernel computes it from the clock, so that it changes when the clock is set.
    """
    try:
        lines = _STATISTICS.read_text().splitlines()
    except OSError:
        return None
    times = (line.removeprefix(_BOOT_TIME) for line in lines if line.startswith(_BOOT_TIME))
    found = next(times, "")
    return int(found) if found.strip().isdigit() else None


def time_of_ticks(ticks: int) -> float:
    """Return the time, in seconds since 1970, that is this number of clock ticks after boot. Raise OSError."""
    started = boot_time()
    if started is None:
        raise OSError(f"{_STATISTICS} does not give the boot time")
    return started + ticks / os.sysconf("SC_CLK_TCK")
