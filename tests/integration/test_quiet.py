"""The daemon is not woken for each page of a core, nor while it is idle."""

from pathlib import Path

from tests.support.harness import RunningDaemon, crash

_FEW_WAKEUPS = 50
"""Far below the 84,000 events that writing 500 MB causes, and above the dozen that a core needs."""


def wakeups(running: RunningDaemon) -> int:
    """Return how often the main thread of the daemon has gone to sleep, which is how often it was woken."""
    status = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_the_daemon_wakes_few_times_while_a_core_of_500_mb_is_written(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    before = wakeups(running)
    crash(programs, spool, "segv", "--megabytes", "500")
    assert wakeups(running) - before < _FEW_WAKEUPS
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.size > 500 << 20


def test_the_idle_daemon_is_not_woken_between_its_timers(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.start()
    crash(programs, spool, "segv")
    running.wait_for_crashes(1)
    while running.manager.receive(1.0):
        pass
    before = wakeups(running)
    assert not running.manager.receive(3.0)
    assert wakeups(running) == before
