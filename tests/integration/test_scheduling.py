"""The PBX takes the processor from the daemon whenever it needs it, but the watch for cores does not wait."""

from pathlib import Path

from astbtd.model.crash import Section
from tests.support import time_slice as time_slice_module
from tests.support.commands import extract, section_text
from tests.support.extractions import configure_gdb
from tests.support.fake_gdb import only_with_a_core, paused_gdb
from tests.support.harness import RunningDaemon, crash
from tests.support.kernel import needs_time_slices
from tests.support.time_slice import LONGEST, time_slice, time_slices

pytestmark = needs_time_slices

# The interpreter prints its own slice: it has the pid of the shell that it replaces.
_PRINTS_ITS_SLICE = """#!/bin/sh
exec python3 - $$ <<'END'
{source}
END
"""


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


def test_others_can_preempt_the_gdb_of_a_command(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    source = Path(time_slice_module.__file__).read_text()
    configure_gdb(extracting, only_with_a_core(_PRINTS_ITS_SLICE.format(source=source)))

    recorded = extract(extracting, crash(programs, scratch, "segv"))

    assert section_text(extracting, recorded, Section.LOG).split()[0] == str(LONGEST)
