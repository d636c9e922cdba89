"""The PBX takes the processor from the daemon whenever it needs it, but the watch for cores does not wait."""

from pathlib import Path

import pytest

from tests.support.fake_gdb import paused_gdb
from tests.support.harness import RunningDaemon, crash
from tests.support.time_slice import LONGEST, has_slices, time_slice, time_slices


@pytest.mark.skipif(not has_slices(), reason="needs Linux 6.12")
def test_others_can_preempt_the_worker_and_gdb_and_not_the_threads_that_watch(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        crash(programs, spool, "segv")
        wait_for_gdb()
        daemon = running.process.pid
        threads = Path(f"/proc/{daemon}/task").iterdir()
        children = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]

        assert {time_slice(pid) for pid in children} == {LONGEST}
        slices = time_slices(daemon)
        assert LONGEST in slices.values()
        assert slices[daemon] < LONGEST
