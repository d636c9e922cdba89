"""gdb is killed at each change it makes, alone or with the daemon: the crash is recorded once, the core kept."""

import itertools
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from astbtd.model.crash import CoreState, ExtractionOutcome
from astbtd.store.core_archive import verify_core
from tests.support.extractions import process_ends
from tests.support.faults import LIBRARY
from tests.support.harness import RunningDaemon, crash, process_state

# Runs gdb; the system call whose number is in a file fails.
_FAULTY = """#!/bin/sh
export FAULTS_BELOW={store} FAULTS_AT="$(cat {number})" FAULTS_HOW={how}
LD_PRELOAD={library} exec gdb "$@"
"""


_NEVER = 0
_STEP = 4  # only every fourth change is tried


class FaultyDebugger:
    """A gdb in which the system call with the number given to `fail_at` fails."""

    def __init__(self, running: RunningDaemon, programs: Path, directory: Path, spool: Path, how: str) -> None:
        self._number = directory / "number"
        program = directory / "gdb"
        program.write_text(
            _FAULTY.format(store=running.store.root, number=self._number, how=how, library=programs / LIBRARY)
        )
        program.chmod(0o755)
        keeping_all = {"cores": {"per_signature": None}}
        watch = {"directories": [str(spool)]}
        running.configure({"watch": watch, "gdb": {"program": str(program)}, "retention": keeping_all})

    def fail_at(self, number: int) -> None:
        self._number.write_text(str(number))
        self._number.chmod(0o644)


def test_gdb_killed_at_any_change_leaves_what_it_had_written(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    debugger = FaultyDebugger(running, programs, scratch, spool, "kill")
    debugger.fail_at(1)
    running.start()
    for number in itertools.count(1):
        debugger.fail_at(number)
        crash(programs, spool, "segv")
        recorded = max(running.wait_for_crashes(number), key=lambda each: each.collected_at)
        assert recorded.core.state is CoreState.KEPT
        verify_core(running.store.kept_core(recorded.id), lambda _: None)
        assert recorded.extraction.sections.keys() <= set(os.listdir(running.store.directory(recorded.id)))
        assert os.listdir(spool) == []
        if recorded.extraction.ended is ExtractionOutcome.OK:
            break
        assert recorded.extraction.ended is ExtractionOutcome.KILLED

    assert number > 10
    assert len(running.crashes()) == number
    assert recorded.diagnosis.crash_function == "do_forward"


def test_gdb_and_the_daemon_killed_together_leave_one_record_in_the_end(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    debugger = FaultyDebugger(running, programs, scratch, spool, "wait")
    for count, number in enumerate(itertools.count(1, _STEP), 1):
        crash(programs, spool, "segv")
        debugger.fail_at(number)
        running.launch()
        running.wait_until(partial(is_stopped_or_settled, running, count), "gdb to stop, or the crash to be recorded")
        gdb = stopped_gdb(running)
        if gdb is None:
            break
        running.kill()
        assert process_ends(gdb)
        assert len(running.store.ids()) == count - 1
        debugger.fail_at(_NEVER)
        running.launch()
        running.wait_until(partial(is_settled, running, count), "the crash to be recorded")
        running.stop()
    running.stop()

    assert count > 3
    assert [recorded.core.state for recorded in running.crashes()] == [CoreState.KEPT] * count
    assert os.listdir(spool) == []


def is_stopped_or_settled(running: RunningDaemon, count: int) -> bool:
    return stopped_gdb(running) is not None or is_settled(running, count)


def is_settled(running: RunningDaemon, count: int) -> bool:
    return len(running.store.ids()) == count and not list(running.store.incoming.glob("*.claim"))


def stopped_gdb(running: RunningDaemon) -> int | None:
    """Return the pid of a gdb that is stopped; None if there is none."""
    threads = Path(f"/proc/{running.process.pid}/task")
    with suppress(FileNotFoundError):
        children = [int(pid) for each in threads.glob("*/children") for pid in each.read_text().split()]
        return next((pid for pid in children if process_state(pid) == "T"), None)
    return None
