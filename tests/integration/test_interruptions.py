"""The daemon is stopped, suspended and reloaded in the middle of its work: none is lost, none is done twice."""

import os
import signal
from pathlib import Path

from astbtd.model.crash import CoreState, DiscoveredBy
from tests.support.fake_gdb import HANGING_GDB, use_gdb
from tests.support.harness import RunningDaemon, crash

_LARGE = 600  # MiB of heap, which take long to compress


def unfinished_files(running: RunningDaemon) -> list[Path]:
    """Return the files in the store that belong to unfinished work."""
    return [path for path in running.store.root.rglob("*") if path.suffix in (".new", ".claim", ".objects")]


def test_a_core_whose_compression_was_interrupted_by_a_stop_is_compressed_after_the_next_start(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    core = crash(programs, spool, "segv", "--megabytes", str(_LARGE))
    running.wait_until(lambda: any(running.store.root.glob("crashes/*/.core.zst.new")), "the compression to begin")
    assert running.stop() == 0
    (interrupted,) = running.crashes()
    assert interrupted.core.state is CoreState.CLAIMED
    assert core.exists()
    assert not running.store.kept_core(interrupted.id).exists()

    running.start()
    (settled,) = running.wait_for_crashes(1)

    assert settled.core.state is CoreState.KEPT
    assert settled.collected_at == interrupted.collected_at
    assert running.store.kept_core(settled.id).exists()
    assert os.listdir(spool) == []
    assert unfinished_files(running) == []
    assert running.output().count("Asterisk crashed: ") == 1


def test_two_signals_to_stop_interrupt_the_work_once(running: RunningDaemon, programs: Path, spool: Path) -> None:
    use_gdb(running, spool, HANGING_GDB)
    running.start()
    core = crash(programs, spool, "segv")
    running.wait_until(lambda: "processing" in running.manager.status, "the extraction to begin")

    running.signal(signal.SIGTERM)
    running.signal(signal.SIGINT)
    assert running.stop() == 0

    assert "Traceback" not in running.output()
    assert core.exists()
    running.configure({"watch": {"directories": [str(spool)]}})
    running.start()
    assert len(running.wait_for_crashes(1)) == 1


def test_many_reloads_lose_no_crash(running: RunningDaemon, programs: Path, scratch: Path, spool: Path) -> None:
    # Beforehand: a reload while a crashing program runs has its working directory searched as well, and the first
    # core of a new directory is copied and stays where it is.
    made = [crash(programs, scratch, "segv").rename(scratch / f"made.{count}") for count in range(10)]
    running.start()
    for count, core in enumerate(made):
        for _ in range(50):
            running.signal(signal.SIGHUP)
        core.rename(spool / f"core.{count}")
    recorded = running.wait_for_crashes(10)

    assert len({each.core.identity for each in recorded}) == 10
    assert os.listdir(spool) == []
    assert "Traceback" not in running.output()
    assert running.stop() == 0


def test_crashes_during_a_suspend_are_collected_afterwards(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.environment["WATCHDOG_USEC"] = "400000"
    running.start()
    running.suspend()
    for count in (1, 2):
        crash(programs, spool, "segv").rename(spool / f"core.{count}")

    running.resume()

    recorded = running.wait_for_crashes(2)
    assert {each.core.found for each in recorded} == {DiscoveredBy.EVENT}
    running.manager.states.clear()
    running.wait_until(lambda: "WATCHDOG=1" in running.manager.states, "a watchdog message")


def test_an_extraction_that_ends_during_a_suspend_is_used(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.start()
    crash(programs, spool, "segv")
    running.wait_until(lambda: "processing" in running.manager.status, "the extraction to begin")
    running.suspend()
    crash(programs, spool, "abort").rename(spool / "core.abort")
    running.resume()

    recorded = running.wait_for_crashes(2)

    assert sorted(each.diagnosis.verdict for each in recorded) == ["usable", "usable"]
