"""Notifications to the service manager, and reactions to its signals."""

import signal
from pathlib import Path

from tests.support.harness import RunningDaemon, crash

_HANGS = "#!/bin/sh\nexec sleep 1000\n"


def hanging_gdb(running: RunningDaemon) -> str:
    """Return the path of a gdb that never ends."""
    path = running.configuration.with_name("gdb-that-hangs")
    path.write_text(_HANGS)
    path.chmod(0o755)
    return str(path)


def test_the_daemon_is_ready_only_when_existing_cores_are_claimed(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": hanging_gdb(running)}})
    crash(programs, spool, "segv")
    running.start()
    assert [path.suffix for path in running.store.incoming.glob("*.claim")] == [".claim"]
    assert "watching 1 directory" in running.manager.status


def test_work_is_interrupted_by_a_stop_and_resumed_after_the_next_start(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": hanging_gdb(running)}})
    running.start()
    core = crash(programs, spool, "segv")
    running.wait_until(lambda: "processing" in running.manager.status, "the extraction to begin")
    assert running.stop() == 0
    assert "STOPPING=1" in running.manager.states
    assert running.crashes() == []
    assert core.exists()

    running.configure({"watch": {"directories": [str(spool)]}})
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(core)
    assert not core.exists()


def test_the_watchdog_is_notified_during_an_extraction(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.environment["WATCHDOG_USEC"] = "400000"
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": hanging_gdb(running)}})
    running.start()
    crash(programs, spool, "segv")
    running.wait_until(lambda: "processing" in running.manager.status, "the extraction to begin")
    running.manager.states.clear()
    running.wait_until(lambda: running.manager.states.count("WATCHDOG=1") >= 3, "watchdog notifications")


def test_a_reload_is_announced_at_its_start_and_end(running: RunningDaemon) -> None:
    running.start()
    running.manager.states.clear()
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "READY=1" in running.manager.states, "the reload to end")
    begin = running.manager.states.index("RELOADING=1")
    assert running.manager.states[begin + 1].startswith("MONOTONIC_USEC=")
    assert running.manager.states.index("READY=1") > begin


def test_an_invalid_configuration_at_start_has_its_own_exit_code(running: RunningDaemon) -> None:
    running.configuration.write_text("cores: {action: eat}\n")
    running.launch()
    assert running.process.wait() == 78
    assert "cores.action: must be one of move, leave, delete, not 'eat'" in running.output()
