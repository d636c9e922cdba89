"""Idle use: what the daemon uses while nothing happens, and while a large core is written."""

import os
import time
from pathlib import Path

from tests.bench.figures import Theme
from tests.bench.usage import Snapshot, memory, snapshot
from tests.support.harness import crash, daemon, scratch_directory

_WINDOW = 60.0  # seconds of idle time that are measured, including watchdog messages
_WATCHDOG = {"WATCHDOG_USEC": "60000000"}  # as in packaging/systemd/astbtd.service
_RESCANS = 6  # per hour
_TIDIES = 1
_TIMERS = 20  # measured runs of each timer
_MEGABYTES = 500


def measure(programs: Path) -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme("Quiet", [])
    _idle(theme)
    _written(theme, programs)
    return theme


def _idle(theme: Theme) -> None:
    window = _used({}, _WINDOW)
    scans = _each({"watch": {"rescan": "1s"}})
    tidies = _each({"retention": {"every": "1s"}})
    hours = 3600 / _WINDOW
    cpu = window.own * hours + scans.own * _RESCANS + tidies.own * _TIDIES
    children = window.children * hours + scans.children * _RESCANS + tidies.children * _TIDIES
    wakeups = window.wakeups * hours + scans.wakeups * _RESCANS + tidies.wakeups * _TIDIES
    theme.add(f"idle hour, from {_WINDOW:.0f} s and {_TIMERS} runs of each timer: CPU", cpu, "s", "≤ 0.5 s")
    theme.add("idle hour, likewise: CPU of its children", children, "s")
    theme.add("idle hour, likewise: wake-ups of all threads", wakeups, "")


def _each(settings: dict[str, object]) -> Snapshot:
    """Measure one run of a timer, which is set to a second for this."""
    used = _used(settings, float(_TIMERS))
    return Snapshot(used.own / _TIMERS, used.main / _TIMERS, used.children / _TIMERS, round(used.wakeups / _TIMERS))


def _used(settings: dict[str, object], seconds: float) -> Snapshot:
    with scratch_directory() as directory, daemon(directory, settings) as running:
        running.environment.update(_WATCHDOG)
        running.start()
        running.wait_until_quiet()
        before = snapshot(running.process.pid)
        time.sleep(seconds)
        return snapshot(running.process.pid) - before


def _written(theme: Theme, programs: Path) -> None:
    with scratch_directory() as directory:
        spool = directory / "spool"
        spool.mkdir()
        settings = {"watch": {"directories": [str(spool)]}, "cores": {"action": "delete"}}
        with daemon(directory, settings) as running:
            running.start()
            running.wait_until_quiet()
            theme.add("resident set, idle", memory(running.process.pid, "VmRSS") / 2**20, "MiB", "≤ 32 MiB")
            before = snapshot(running.process.pid)
            crash(programs, spool, "segv", "--megabytes", str(_MEGABYTES))
            running.wait_for_crashes(1)
            running.wait_until_quiet()
            used = snapshot(running.process.pid) - before
            theme.add(f"{_MEGABYTES} MB core written: CPU of the watching thread", used.main, "s", "≤ 0.05 s")
            theme.add(f"{_MEGABYTES} MB core written and examined: CPU of the daemon", used.own, "s")
            theme.add("wake-ups for it, of all threads", used.wakeups, "")
            theme.add("resident set, after a core", memory(running.process.pid, "VmRSS") / 2**20, "MiB", "≤ 32 MiB")
            theme.add("cores of this machine", os.cpu_count() or 1, "")
