"""Thousands of cores are there when the daemon starts: it claims the newest first, a limited number at a time."""

import os
from pathlib import Path

import pytest

from astbtd.model.crash import DiscoveredBy
from tests.support.builders import DeadProcess, signature_of
from tests.support.harness import RunningDaemon, crash

_AT_A_TIME = 100  # claims at a start
_MAX_MEMORY = 48 << 20
_FIRST_CRASH = 1_700_000_000  # seconds since 1970; the others follow at intervals of a second
_SERVICE_LIMITS = ("prlimit", "--nofile=1024:1024", "--core=unlimited:unlimited")
"""The limits of a service under systemd."""


def put_cores(spool: Path, cores: int) -> None:
    """Put cores of one bug into the spool, the newest last."""
    for number in range(1, cores + 1):
        core = spool / f"core.{number}"
        core.write_bytes(DeadProcess(pid=number, random=number.to_bytes(16, "big"), returns_to=(16, 32)).core())
        os.utime(core, (_FIRST_CRASH + number, _FIRST_CRASH + number))


@pytest.fixture
def looping(running: RunningDaemon, spool: Path) -> RunningDaemon:
    """A daemon for which these cores are a crash loop."""
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": {"crashes": 5, "within": "10min"}})
    running.wrapper = _SERVICE_LIMITS
    return running


def recorded_pids(running: RunningDaemon) -> set[int]:
    return {int(crash_id.split("-")[1]) for crash_id in os.listdir(running.store.root / "crashes")}


def peak_memory(running: RunningDaemon) -> int:
    """Return the largest resident set of the daemon so far, in bytes."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("\nVmHWM:")[2].split()[0]) << 10


@pytest.mark.nightly
def test_of_ten_thousand_cores_some_are_claimed_at_a_time_and_a_new_crash_is_processed_before_them(
    looping: RunningDaemon, programs: Path, spool: Path
) -> None:
    put_cores(spool, 10_000)

    looping.start()
    claimed = {int(path.name.split("-")[1]) for path in looping.store.incoming.glob("*.claim")}
    assert claimed | recorded_pids(looping) == set(range(10_000 - _AT_A_TIME + 1, 10_001))
    assert f"{_AT_A_TIME} cores queued, more cores not claimed yet" in looping.manager.states[-2]

    looping.wait_until(lambda: len(recorded_pids(looping)) >= 2 * _AT_A_TIME, "the newest cores")
    crash(programs, spool, "abort")
    looping.wait_until(lambda: looping.crashes()[0].diagnosis.signal == "SIGABRT", "the new crash")
    newest, *others = looping.crashes()
    assert newest.core.found is DiscoveredBy.EVENT
    pids = {each.process.pid for each in others}
    assert pids == set(range(10_000 - len(pids) + 1, 10_001))
    assert "more cores not claimed yet" in looping.manager.status
    assert peak_memory(looping) < _MAX_MEMORY
    looping.stop()
    left = {int(name.split(".")[1]) for name in os.listdir(spool) if name.startswith("core.")}
    assert left | recorded_pids(looping) >= set(range(1, 10_001))


def test_cores_beyond_the_number_of_claims_are_claimed_later_until_none_is_left(
    looping: RunningDaemon, spool: Path
) -> None:
    cores = 3 * _AT_A_TIME
    put_cores(spool, cores)

    looping.start()
    recorded = looping.wait_for_crashes(cores)
    looping.wait_until(lambda: "earlier crash" in looping.output(), "the summary")

    assert [each.process.pid for each in recorded] == list(range(cores, 0, -1))
    assert [signature_of(each).occurrence for each in recorded] == list(range(cores, 0, -1))
    assert {each.core.found for each in recorded} == {DiscoveredBy.START}
    assert f"{cores} cores from earlier crashes" in looping.output()
    assert looping.output().count("crash loop:") == 1
    assert os.listdir(spool) == []
    assert "not claimed yet" not in looping.manager.status
