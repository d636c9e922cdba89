"""Crashes whose cores are renamed at random instants, while the daemon is disturbed: each is recorded exactly once.

ASTBTD_CRASHES is the number of crashes of all tests together, by default 10,000. The numbers of crashes made and
recorded are printed; pytest shows them with -rP.
"""

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from tests.support.builders import DeadProcess
from tests.support.harness import RunningDaemon
from tests.support.small_disk import fill, mounted_tmpfs

ACTIONS = ("leave", "move")
DISTURBANCES = ("none", "kills", "stops", "full disks", "all of them")
CRASHES = int(os.environ.get("ASTBTD_CRASHES", "10000")) // (len(ACTIONS) * len(DISTURBANCES))
SEED = 20261122
MOST_BEHIND = 100  # crashes that the daemon may be behind before the next one
BETWEEN_DISTURBANCES = 25  # crashes, on average

pytestmark = pytest.mark.nightly


class CrashingPbx:
    """Writes cores, each of a process of its own, and renames them later, in the directory or into another one."""

    def __init__(self, spool: Path, drop: Path, instants: random.Random) -> None:
        self.made = 0
        self._spool, self._drop = spool, drop
        self._instants = instants
        self._to_rename: list[Path] = []

    def crash(self) -> None:
        """Write a core as the kernel does."""
        self.made += 1
        core = self._spool / f"core.{self.made}"
        process = DeadProcess(pid=self.made, random=self.made.to_bytes(16, "big"), returns_to=(16, 32))
        core.write_bytes(process.core())
        self._to_rename.append(core)

    def rename_some(self) -> None:
        """Rename each core with the probability of one third, and some of these again at a later call."""
        for core in [each for each in self._to_rename if self._instants.random() < 1 / 3]:
            self._to_rename.remove(core)
            directory = self._instants.choice((self._spool, self._drop))
            renamed = directory / f"{core.name}.renamed"
            with suppress(FileNotFoundError):  # it was moved to the store
                core.rename(renamed)
                if self._instants.random() < 1 / 4:
                    self._to_rename.append(renamed)


class Disturber:
    """Kills and stops a daemon, and fills the disk of its store, at random instants."""

    def __init__(self, running: RunningDaemon, instants: random.Random) -> None:
        self._running = running
        self._instants = instants
        self._kinds: dict[str, list[Callable[[], None]]] = {
            "none": [],
            "kills": [self._kill],
            "stops": [self._stop],
            "full disks": [self._fill_disk],
            "all of them": [self._kill, self._stop, self._fill_disk],
        }

    def disturb(self, kind: str) -> None:
        """Disturb the daemon now and then."""
        if self._kinds[kind] and self._instants.random() < 1 / BETWEEN_DISTURBANCES:
            self._instants.choice(self._kinds[kind])()

    def _kill(self) -> None:
        self._running.kill()
        self._running.start()

    def _stop(self) -> None:
        assert self._running.stop() == 0
        self._running.start()

    def _fill_disk(self) -> None:
        """Fill the disk until the daemon has sent a random number of messages, or sends none."""
        ballast = fill(self._running.store.root)
        for _ in range(self._instants.randrange(1, 30)):
            if not self._running.manager.receive(0.2):
                break
        ballast.unlink()


@pytest.fixture
def drop(scratch: Path) -> Path:
    """The second directory that the daemon watches."""
    directory = scratch / "drop"
    directory.mkdir()
    return directory


@pytest.fixture
def disk(running: RunningDaemon) -> Iterator[None]:
    """A small disk of its own for the store."""
    with mounted_tmpfs(running.store.root, "size=160M,mode=750"):
        yield


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("action", ACTIONS)
def test_as_many_crashes_are_recorded_as_were_made(
    running: RunningDaemon, spool: Path, drop: Path, action: str, disturbance: str
) -> None:
    running.configure(
        {
            "watch": {"directories": [str(spool), str(drop)], "rescan": "1s"},
            "cores": {"action": action},
            "crash_loop": {"crashes": 5, "within": "1d"},
            "retention": {"minimum_free": "0%"},
        }
    )
    instants = random.Random(f"{SEED} {action} {disturbance}")  # noqa: S311 - reproducible, not secret
    pbx, disturber = CrashingPbx(spool, drop, instants), Disturber(running, instants)
    running.start()

    for _ in range(CRASHES):
        pbx.crash()
        running.manager.receive(instants.uniform(0.0, 0.02))
        pbx.rename_some()
        disturber.disturb(disturbance)
        running.wait_until(lambda: len(running.store.ids()) >= pbx.made - MOST_BEHIND, "most of the crashes so far")
    recorded = running.wait_for_crashes(CRASHES)

    sys.stdout.write(f"{action}, disturbance: {disturbance}: {pbx.made} made, {len(recorded)} recorded\n")
    assert Counter(each.process.pid for each in recorded) == Counter(range(1, CRASHES + 1))
    assert CoreState.LOST not in {each.core.state for each in recorded}
    assert "internal error" not in running.output()
    if action == "leave":
        assert len(os.listdir(spool)) + len(os.listdir(drop)) == CRASHES
    else:
        running.wait_until(lambda: not os.listdir(spool) and not os.listdir(drop), "all cores to be removed")
