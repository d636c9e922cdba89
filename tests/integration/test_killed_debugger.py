"""gdb is killed at any change it makes, alone or with the daemon: the crash is recorded once, the core kept."""

import itertools
import os
import select
from contextlib import suppress
from pathlib import Path

from astbtd.model.crash import CoreState, ExtractionOutcome
from astbtd.store.core_archive import verify
from tests.integration.test_every_kill import state_of
from tests.support.faults import LIBRARY
from tests.support.harness import PATIENCE, RunningDaemon, crash

# gdb, in which the call whose number stands in a file goes wrong.
_FAULTY = """#!/bin/sh
export FAULTS_BELOW={store} FAULTS_AT="$(cat {number})" FAULTS_HOW={how}
LD_PRELOAD={library} exec gdb "$@"
"""


class FaultyDebugger:
    """A gdb in which the call goes wrong that `strike_at` says."""

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

    def strike_at(self, number: int) -> None:
        self._number.write_text(str(number))
        self._number.chmod(0o644)


def test_gdb_killed_at_any_change_costs_no_more_than_what_it_had_not_written(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    debugger = FaultyDebugger(running, programs, scratch, spool, "kill")
    debugger.strike_at(1)
    running.start()
    for number in itertools.count(1):
        debugger.strike_at(number)
        crash(programs, spool, "segv")
        recorded = max(running.wait_for_crashes(number), key=lambda each: each.collected_at)
        assert recorded.core.state is CoreState.KEPT
        verify(running.store.kept_core(recorded.id), lambda _: None)
        assert recorded.extraction.sections.keys() <= set(os.listdir(running.store.directory(recorded.id)))
        assert os.listdir(spool) == []
        if recorded.extraction.ended is ExtractionOutcome.OK:
            break
        assert recorded.extraction.ended is ExtractionOutcome.KILLED

    assert number > 10
    assert len(running.crashes()) == number
    assert recorded.diagnosis.crash_function == "do_forward"


def test_gdb_and_the_daemon_killed_together_at_any_change_of_gdbs_leave_one_record_in_the_end(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    debugger = FaultyDebugger(running, programs, scratch, spool, "wait")
    crash(programs, spool, "segv")
    for number in itertools.count(1):
        debugger.strike_at(number)
        running.launch()
        running.wait_until(lambda: stopped(running) is not None or is_settled(running), "gdb to stop, or the end")
        gdb = stopped(running)
        if gdb is None:
            break
        running.kill()
        assert has_ended(gdb)
        assert running.store.ids() == []
    running.stop()

    assert number > 10
    (recorded,) = running.crashes()
    assert recorded.core.state is CoreState.KEPT
    assert os.listdir(spool) == []


def is_settled(running: RunningDaemon) -> bool:
    return bool(running.store.ids()) and not list(running.store.incoming.glob("*.claim"))


def stopped(running: RunningDaemon) -> int | None:
    """The gdb that is stopped, if there is one."""
    threads = Path(f"/proc/{running.process.pid}/task")
    with suppress(FileNotFoundError):
        children = [int(pid) for each in threads.glob("*/children") for pid in each.read_text().split()]
        return next((pid for pid in children if state_of(pid) == "T"), None)
    return None


def has_ended(pid: int) -> bool:
    """Whether a process ends by itself."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            return bool(select.select([descriptor], [], [], PATIENCE)[0])
        finally:
            os.close(descriptor)
    return True
