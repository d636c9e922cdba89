"""The daemon is killed at random moments: no crash is lost or recorded twice."""

import os
import random
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.support.builders import signature_of
from tests.support.commands import extract, run_astbtd
from tests.support.harness import RunningDaemon, crash
from tests.support.kernel import core_pattern
from tests.support.store_checks import PERMANENT_FILES

_CRASHES = 50
_KILLS = 50
_SEED = 20261122


@pytest.mark.serial
def test_fifty_kills_during_fifty_crashes_leave_fifty_records_and_no_staging_files(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    keep_all = {"cores": {"per_signature": None}}
    running.configure({"watch": {"directories": [str(spool)]}, "retention": keep_all})
    moments = random.Random(_SEED)  # noqa: S311 - reproducible, not secret
    crashing = threading.Thread(target=crash_often, args=(programs, spool))
    with core_pattern("core.%p"):
        crashing.start()
        for _ in range(_KILLS):
            running.launch()
            running.manager.receive(moments.uniform(0.05, 0.9))
            wait_for_messages(running, moments.randrange(40))
            running.kill()
        crashing.join()
    running.start()
    skipped = skipped_cores(running)
    running.wait_for_crashes(_CRASHES - len(skipped))
    running.stop()
    for core in skipped:
        extract(running, core)
    for crash_id in unexamined_crashes(running):
        assert run_astbtd(running, "extract", crash_id).returncode == 0
    recorded = running.crashes()

    assert Counter(crash.core.identity for crash in recorded).most_common(1)[0][1] == 1
    assert len(recorded) == _CRASHES
    assert len({signature_of(crash).text for crash in recorded}) == 1
    assert sorted(signature_of(crash).occurrence for crash in recorded) == list(range(1, _CRASHES + 1))
    assert sorted(spool.iterdir()) == skipped
    notes = {path.name for path in running.store.incoming.glob("*.examined")}
    assert len(notes) == len(skipped)
    assert set(os.listdir(running.store.incoming)) - notes <= PERMANENT_FILES
    collected = [crash for crash in recorded if Path(crash.core.path) not in skipped]
    assert all(running.store.kept_core(crash.id).exists() for crash in collected)
    assert list(running.store.root.rglob("*.new")) == []
    assert all((running.store.directory(crash.id) / "backtrace.txt").exists() for crash in recorded)


def skipped_cores(running: RunningDaemon) -> list[Path]:
    """Return the cores that the daemon skips because it was killed twice while it examined them."""
    return [Path(path) for path in sorted(set(re.findall(r"(/\S+) is skipped: ", running.output())))]


def unexamined_crashes(running: RunningDaemon) -> list[str]:
    """Return the crashes that were recorded without an analysis because the daemon was killed too often meanwhile."""
    reason = "times while it worked on this core"
    return [each.id for each in running.crashes() if any(reason in note for note in each.extraction.notes)]


def crash_often(programs: Path, spool: Path) -> None:
    """Crash _CRASHES times."""
    for _ in range(_CRASHES):
        crash(programs, spool, "segv")


def wait_for_messages(running: RunningDaemon, messages: int) -> None:
    """Wait for this many messages of the daemon, or until it sends none."""
    for _ in range(messages):
        if not running.manager.receive(0.05):
            return
