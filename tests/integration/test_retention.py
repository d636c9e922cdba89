"""Retention in a running daemon, and killed at any moment: readers see nothing half done, the next run finishes it."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, CoreState
from astbtd.store.store import Store
from tests.support import builders
from tests.support.builders import signature_of
from tests.support.faults import Fault, FaultInjector
from tests.support.harness import RunningDaemon, crash

LIMITS = """
retention:
  cores: {age: null, count: 1}
  texts: {age: null, count: 2}
  records: {age: null, count: 3}
  minimum_free: 0%
"""


def astbtd(
    running: RunningDaemon, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a command on the store of the daemon."""
    command = [sys.executable, "-m", "astbtd", "--config", str(running.configuration), *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def kept(running: RunningDaemon) -> list[str]:
    """Return the ids of the crashes with cores in the store, newest first."""
    return [one.id for one in running.crashes() if running.store.kept_core(one.id).exists()]


def watching(spool: Path, **retention: object) -> dict[str, object]:
    return {"watch": {"directories": [str(spool)]}, "retention": retention}


def test_excess_cores_are_removed_after_a_crash(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.configure(watching(spool, cores={"per_signature": 2}, every="1d"))
    running.start()
    for count in (1, 2, 3):
        crash(programs, spool, "segv")
        running.wait_for_crashes(count)
    running.wait_until(lambda: "retention removed 1 core (" in running.output(), "retention")

    newest, middle, first = running.crashes()
    assert kept(running) == [newest.id, first.id]
    assert middle.core.state is CoreState.REMOVED
    assert middle.core.removed_at is not None
    assert (running.store.directory(middle.id) / "backtrace.txt").exists()
    assert running.output().count("retention removed") == 1


def test_a_pinned_crash_keeps_its_core(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.configure(watching(spool, cores={"count": 1}, every="1d"))
    running.start()
    crash(programs, spool, "segv")
    (first,) = running.wait_for_crashes(1)
    assert astbtd(running, "pin", first.id).returncode == 0

    crash(programs, spool, "segv")
    running.wait_for_crashes(2)
    running.wait_until(lambda: "retention removed 1 core (" in running.output(), "retention")

    assert kept(running) == [first.id]
    assert [one.pinned for one in running.crashes()] == [False, True]


def test_prune_beside_a_running_daemon_removes_nothing_twice(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.configure(watching(spool, cores={"per_signature": 1}, every="1s"))
    running.start()
    answers = []
    for count in range(1, 9):
        crash(programs, spool, "segv")
        answers += [astbtd(running, "prune", "--json") for _ in range(3)]
        running.wait_for_crashes(count)
    running.wait_until(lambda: len(kept(running)) == 1, "retention")

    crashes = running.crashes()
    assert kept(running) == [crashes[0].id]
    assert sorted(signature_of(one).occurrence for one in crashes) == list(range(1, 9))
    assert {answer.returncode for answer in answers} == {0}
    removed = [removal["id"] for answer in answers for removal in json.loads(answer.stdout)["removals"]]
    assert len(removed) == len(set(removed))
    assert "Traceback" not in running.output()


@pytest.fixture
def small_disk(running: RunningDaemon) -> Iterator[None]:
    """The store is on a disk of 64 MiB, with two old crashes that have cores of 20 MiB each."""
    running.store.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M,mode=750", "tmpfs", running.store.root], check=True)
    running.store.prepare()
    running.store.mark_initialized()
    for minutes in (1, 2):
        staged = running.store.stage(builders.crash(minutes).id)
        (staged / KEPT_CORE_FILE).write_bytes(bytes(20 << 20))
        running.store.commit(staged, builders.crash(minutes))
    yield
    subprocess.run(["umount", "--lazy", running.store.root], check=True)


@pytest.mark.usefixtures("small_disk")
def test_an_older_core_is_removed_for_a_new_one(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.configure(watching(spool, cores={"age": None}, texts={"age": None}, minimum_free="25%"))
    running.start()
    crash(programs, spool, "segv", "--megabytes", "16")
    collected, *old = running.wait_for_crashes(3)

    assert kept(running) == [collected.id, old[0].id]
    assert old[1].core.state is CoreState.REMOVED
    assert "retention removed 1 core (20M)" in running.output()
    assert os.listdir(spool) == []


@pytest.fixture
def template(running: RunningDaemon) -> Path:
    """A store with four crashes. A run removes one record, the texts of another crash, and the core of a third."""
    running.configuration.write_text(f"store: {running.store.root}\n{LIMITS}")
    store = Store(running.store.root.with_name("template"))
    store.prepare()
    for minutes in (1, 2, 3, 4):
        staged = store.stage(builders.crash(minutes).id)
        for name in (REPORT_FILE, "backtrace.txt", KEPT_CORE_FILE):
            (staged / name).write_text(name)
        store.commit(staged, builders.crash(minutes))
    store.update_latest()
    return store.root


def check_consistency(store: Store) -> None:
    """Check that every listed crash has a record, and that what the record calls kept exists."""
    crashes = [store.load(crash_id) for crash_id in store.ids()]
    assert {len(crashes)} <= {3, 4}
    for one in crashes:
        names = set(os.listdir(store.directory(one.id)))
        assert one.core.state is CoreState.REMOVED or KEPT_CORE_FILE in names
        assert one.texts_removed_at or {REPORT_FILE, "backtrace.txt"} <= names


def tree(store: Store) -> list[str]:
    """Return the names of all files in the store."""
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*"))


def test_a_run_killed_at_any_change_is_finished_by_the_next(
    running: RunningDaemon, programs: Path, template: Path
) -> None:
    faults = FaultInjector(programs, [running.store.root], running.log.with_name("calls"))

    def reset_store() -> None:
        shutil.rmtree(running.store.root, ignore_errors=True)
        shutil.copytree(template, running.store.root, symlinks=True)

    reset_store()
    assert astbtd(running, "prune").returncode == 0
    undisturbed = tree(running.store)

    for number in itertools.count(1):
        reset_store()
        ended = astbtd(running, "prune", environment=faults.environment(Fault(number, torn=True))).returncode
        if ended != -signal.SIGKILL:
            break
        check_consistency(running.store)
        assert astbtd(running, "prune").returncode == 0
        assert tree(running.store) == undisturbed
        assert astbtd(running, "prune").stdout == "nothing to remove\n"
    assert ended == 0
    assert number > 10
