"""The daemon is stopped, suspended and told to reload at the worst moments: no work is lost, none is done twice."""

import os
import signal
from pathlib import Path

from astbtd.model.crash import CoreState, DiscoveredBy
from tests.support.harness import RunningDaemon, crash

_HANGS = "#!/bin/sh\nexec sleep 1000\n"
_LARGE = 600  # MiB of heap that compress to nothing, slowly


def use_hanging_gdb(running: RunningDaemon, spool: Path) -> None:
    gdb = running.configuration.with_name("gdb-that-hangs")
    gdb.write_text(_HANGS)
    gdb.chmod(0o755)
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(gdb)}})


def left_over(running: RunningDaemon) -> list[Path]:
    """What is unfinished in the store."""
    return [path for path in running.store.root.rglob("*") if path.suffix in (".new", ".claim", ".objects")]


def test_stopped_while_a_core_is_compressed_it_is_compressed_after_the_next_start(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    core = crash(programs, spool, "segv", "--megabytes", str(_LARGE))
    running.wait_until(lambda: any(running.store.root.glob("crashes/*/.core.zst.new")), "the compression to begin")
    assert running.stop() == 0
    (parked,) = running.crashes()
    assert parked.core.state is CoreState.CLAIMED
    assert core.exists()
    assert not running.store.kept_core(parked.id).exists()

    running.start()
    (settled,) = running.wait_for_crashes(1)

    assert settled.core.state is CoreState.KEPT
    assert settled.collected_at == parked.collected_at
    assert running.store.kept_core(settled.id).exists()
    assert os.listdir(spool) == []
    assert left_over(running) == []
    assert running.output().count("Asterisk crashed: ") == 1


def test_told_twice_to_stop_it_stops_once_and_parks_its_work(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    use_hanging_gdb(running, spool)
    running.start()
    core = crash(programs, spool, "segv")
    running.wait_until(lambda: "examining" in running.manager.status, "the extraction to begin")

    running.signal(signal.SIGTERM)
    running.signal(signal.SIGINT)
    assert running.stop() == 0

    assert "Traceback" not in running.output()
    assert core.exists()
    running.configure({"watch": {"directories": [str(spool)]}})
    running.start()
    assert len(running.wait_for_crashes(1)) == 1


def test_a_storm_of_reloads_loses_no_crash(running: RunningDaemon, programs: Path, scratch: Path, spool: Path) -> None:
    running.start()
    for count in range(1, 11):
        for _ in range(50):
            running.signal(signal.SIGHUP)
        crash(programs, scratch, "segv").rename(spool / f"core.{count}")
    recorded = running.wait_for_crashes(10)

    assert len({each.core.identity for each in recorded}) == 10
    assert os.listdir(spool) == []
    assert "Traceback" not in running.output()
    assert running.stop() == 0


def test_suspended_while_asterisk_crashes_it_goes_on_where_it_was(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.environment["WATCHDOG_USEC"] = "400000"
    running.start()
    running.signal(signal.SIGSTOP)
    for count in (1, 2):
        crash(programs, spool, "segv").rename(spool / f"core.{count}")

    running.signal(signal.SIGCONT)

    recorded = running.wait_for_crashes(2)
    assert {each.core.found for each in recorded} == {DiscoveredBy.EVENT}
    running.manager.states.clear()
    running.wait_until(lambda: "WATCHDOG=1" in running.manager.states, "a sign of life")


def test_suspended_while_gdb_runs_it_takes_what_gdb_made(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.start()
    crash(programs, spool, "segv")
    running.wait_until(lambda: "examining" in running.manager.status, "the extraction to begin")
    running.signal(signal.SIGSTOP)
    crash(programs, spool, "abort").rename(spool / "core.abort")
    running.signal(signal.SIGCONT)

    recorded = running.wait_for_crashes(2)

    assert sorted(each.diagnosis.verdict for each in recorded) == ["usable", "usable"]
