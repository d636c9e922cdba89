"""When the daemon keeps objects, and what it logs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from astbtd.daemon.object_monitor import ObjectMonitor
from astbtd.elf.headers import NotElf
from astbtd.pipeline.object_keeper import KeepResult, ObjectKeeper
from astbtd.store.retention.object_removal import read_running
from astbtd.store.store import Store
from tests.support.builders import claim, crash

BUILD = "ab" * 20


@dataclass
class FakeKeeper:
    """Returns a result for each process; those in `ended` have ended."""

    store: Store
    result: KeepResult = field(default_factory=lambda: KeepResult({BUILD}, added=1))
    ended: set[int] = field(default_factory=set)
    kept: list[int] = field(default_factory=list)
    error: Exception | None = None

    def keep_running(self, pid: int, _: object) -> KeepResult:
        if pid in self.ended:
            raise ProcessLookupError(pid)
        self.kept.append(pid)
        return self.result

    def keep_mapped(self, _: int) -> KeepResult:
        if self.error:
            raise self.error
        return self.result


@pytest.fixture
def keeper(tmp_path: Path) -> FakeKeeper:
    store = Store(tmp_path / "store")
    store.prepare()
    return FakeKeeper(store)


def run(monitor: ObjectMonitor, keeper: FakeKeeper, *, interrupted: bool = False) -> None:
    monitor.keep_if_due(cast(ObjectKeeper, keeper), lambda: interrupted)


def keep_of_crash(monitor: ObjectMonitor, keeper: FakeKeeper) -> None:
    monitor.keep_of_crash(cast(ObjectKeeper, keeper), claim(), crash())


def test_the_objects_of_all_running_asterisks_are_kept_once_per_request(keeper: FakeKeeper) -> None:
    monitor = ObjectMonitor()
    monitor.note_running(frozenset((7, 8, 9)))
    keeper.ended = {8}
    run(monitor, keeper)
    assert keeper.kept == []

    monitor.request()
    run(monitor, keeper)
    run(monitor, keeper)

    assert keeper.kept == [7, 9]
    assert read_running(keeper.store) == {BUILD}


def test_a_request_during_a_run_is_carried_out_by_the_next_one(keeper: FakeKeeper) -> None:
    monitor = ObjectMonitor()
    monitor.note_running(frozenset((7,)))
    monitor.request()

    def start_another(*_: object) -> bool:
        if keeper.kept == [7]:  # the first one is done
            monitor.note_running(frozenset((8,)))
            monitor.request()
        return False

    monitor.keep_if_due(cast(ObjectKeeper, keeper), start_another)
    run(monitor, keeper)

    assert keeper.kept == [7, 8]


def test_an_interrupted_run_is_repeated(keeper: FakeKeeper) -> None:
    monitor = ObjectMonitor()
    monitor.note_running(frozenset((7,)))
    monitor.request()

    run(monitor, keeper, interrupted=True)
    run(monitor, keeper)

    assert keeper.kept == [7]


def test_while_asterisk_is_down_its_last_objects_stay_needed(keeper: FakeKeeper) -> None:
    monitor = ObjectMonitor()
    monitor.note_running(frozenset((7,)))
    monitor.request()
    run(monitor, keeper)

    monitor.note_running(frozenset())
    monitor.request()
    run(monitor, keeper)

    assert read_running(keeper.store) == {BUILD}


def test_what_is_not_kept_is_logged_once(keeper: FakeKeeper, capfd: pytest.CaptureFixture[str]) -> None:
    monitor = ObjectMonitor()
    keeper.result = KeepResult(set(), ["/m/a.so is not the file that was mapped", "/m/b.so: too large"], "no room")

    keep_of_crash(monitor, keeper)
    keep_of_crash(monitor, keeper)

    logged = capfd.readouterr().err
    assert logged.count("2 files that the core of crash") == 1
    assert "the first: /m/a.so is not the file that was mapped" in logged
    assert logged.count("can be kept: no room") == 1


def test_a_core_that_was_changed_since_it_was_claimed_is_no_error(keeper: FakeKeeper) -> None:
    keeper.error = NotElf("no ELF magic")

    keep_of_crash(ObjectMonitor(), keeper)
