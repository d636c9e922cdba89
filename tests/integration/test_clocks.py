"""The wall clock jumps while the daemon runs: this causes no removal and no announcement."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, Crash
from tests.support.harness import RunningDaemon, crash

HOUR = 3600
DAY = 24 * HOUR
YEAR = 365 * DAY
JUMP = 7 * YEAR  # seconds; more than any default age


@dataclass
class Machine:
    """A daemon, and the clocks that it sees."""

    running: RunningDaemon
    programs: Path
    scratch: Path
    spool: Path
    wall: int = 0
    passed: int = 0

    def __post_init__(self) -> None:
        clocks = {"LD_PRELOAD": str(self.programs / "clock.so"), "CLOCK_FILE": str(self.scratch / "clock")}
        self.running.environment.update(clocks)
        self._write_clocks()

    def set_clock(self, ahead: int) -> None:
        """Set the wall clock this many seconds ahead of the real time, or behind it if negative."""
        self.wall = ahead
        self._write_clocks()

    def pass_time(self, seconds: int) -> None:
        """Advance all clocks, as a suspend does."""
        self.passed += seconds
        self._write_clocks()

    def crash(self, how: str = "segv") -> Crash:
        """Crash, wait until the crash is processed, and return its record. The core has the time of the clock."""
        core, count = crash(self.programs, self.scratch, how), len(self.running.store.ids())
        now = time.time() + self.wall + self.passed
        os.utime(core, (now, now))
        core.rename(self.spool / f"core.{count}")
        self.running.wait_for_crashes(count + 1)
        (new,) = (each for each in self.running.crashes() if each.core.path.endswith(f"core.{count}"))
        return new

    def _write_clocks(self) -> None:
        new = self.scratch / "clock.new"
        new.write_text(f"{self.wall + self.passed} {self.passed}")
        new.rename(self.scratch / "clock")


@pytest.fixture
def machine(running: RunningDaemon, programs: Path, scratch: Path, spool: Path) -> Machine:
    return Machine(running, programs, scratch, spool)


def cores_kept(running: RunningDaemon) -> list[bool]:
    """Return for each crash, newest first, whether its core is kept."""
    return [running.store.kept_core(each.id).exists() for each in running.crashes()]


@pytest.mark.parametrize("ahead", [JUMP, -JUMP])
def test_a_clock_that_jumps_and_returns_removes_nothing(machine: Machine, ahead: int) -> None:
    machine.running.start()
    before = machine.crash()
    machine.pass_time(HOUR)
    machine.set_clock(ahead)
    meanwhile = machine.crash()
    machine.pass_time(HOUR)
    later = machine.crash("abort")
    machine.set_clock(0)
    after = machine.crash()
    machine.pass_time(HOUR)
    last = machine.crash("abort")

    in_order = sorted([before, meanwhile, later, after, last], key=lambda each: each.crashed_at, reverse=True)
    assert machine.running.store.ids() == [each.id for each in in_order]
    assert cores_kept(machine.running) == [True] * 5
    assert os.readlink(machine.running.store.root / "latest") == f"crashes/{in_order[0].id}"
    assert "retention" not in machine.running.output()
    assert "Traceback" not in machine.running.output()


def test_crashes_from_before_the_clock_was_first_set_get_their_real_age(machine: Machine) -> None:
    machine.set_clock(-JUMP)
    machine.running.start()
    early = machine.crash()
    assert early.collected_at.year < time.gmtime().tm_year

    machine.set_clock(0)
    machine.crash("abort")
    machine.pass_time(2 * HOUR)
    machine.crash("abort")
    assert cores_kept(machine.running) == [True] * 3

    machine.pass_time(15 * DAY)
    machine.crash("abort")
    running = machine.running
    running.wait_until(lambda: "retention removed 3 cores" in running.output(), "retention")
    assert running.store.load(early.id).core.state is CoreState.REMOVED
    assert cores_kept(running) == [True, False, False, False]


@pytest.mark.parametrize("ahead", [JUMP, -JUMP])
def test_a_crash_loop_with_a_clock_jump_is_one_loop_and_ends(
    machine: Machine, configure_loop: Callable[[str], None], ahead: int
) -> None:
    configure_loop("20s")
    machine.running.start()
    for number in range(7):
        if number == 4:
            machine.set_clock(ahead)
        machine.crash()

    running = machine.running
    running.wait_until(lambda: "the crash loop has ended" in running.output(), "the end of the loop")
    assert running.output().count("crash loop: SIGSEGV in do_forward") == 1
    assert "the crash loop has ended: SIGSEGV in do_forward, 7 crashes" in running.output()


@pytest.mark.parametrize("ahead", [JUMP, -JUMP])
def test_cores_from_before_the_start_are_collected_even_if_the_clock_is_wrong(machine: Machine, ahead: int) -> None:
    core = crash(machine.programs, machine.spool, "segv")
    died = core.stat().st_mtime_ns // 1_000_000 / 1000
    machine.set_clock(ahead)

    machine.running.start()
    (collected,) = machine.running.wait_for_crashes(1)

    crashed_at = collected.crashed_at.timestamp()
    if ahead > 0:
        assert crashed_at == died
    else:  # by this clock, the core is from the future: such a time is not believed
        assert crashed_at < died
    assert cores_kept(machine.running) == [True]


@pytest.fixture
def configure_loop(running: RunningDaemon, spool: Path) -> Callable[[str], None]:
    def configure(within: str) -> None:
        loop = {"crashes": 3, "within": within}
        running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": loop})

    return configure
