"""Threads of a real program wait for locks in every way that is told apart: who waits for whom is found."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import build, run_astbtd
from tests.support.harness import RunningDaemon
from tests.support.lock_scenes import CYCLES

Record = dict[str, Any]


@pytest.fixture(scope="module", params=[(), ("OPTIMIZE=1",)], ids=["debug", "optimized"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("programs"), *request.param) / "locks"


@contextmanager
def playing(program: Path, scene: str) -> Iterator[int]:
    """Run a scene for the duration of a block. Yield its process id."""
    with subprocess.Popen([program, scene], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        assert process.poll() is None, "it runs on after the capture"
        process.kill()


def captured(extracting: RunningDaemon, program: Path, scene: str) -> Record:
    """Capture a scene twice, a second apart, and return the record."""
    with playing(program, scene) as pid:
        done = run_astbtd(extracting, "deadlock", "--json", "--interval", "1s", "--pid", str(pid))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def waits(record: Record) -> dict[str, Record]:
    """Return the waits of a capture by the start function of the thread."""
    return {wait["thread_name"]: wait for wait in record["wait_for"]}


@pytest.mark.parametrize("scene", CYCLES)
def test_a_cycle_of_waiting_threads_is_a_deadlock(extracting: RunningDaemon, program: Path, scene: str) -> None:
    record = captured(extracting, program, scene)

    found, locks = waits(record), CYCLES[scene]
    cycle = [found[thread]["lwp"] for thread in locks]
    assert record["finding"] == "deadlock"
    assert set(record["cycle"]) == set(cycle)
    assert {thread: wait["lock_name"] for thread, wait in found.items()} == locks
    assert [found[thread]["owner_lwp"] for thread in locks] == [*cycle[1:], cycle[0]]
    assert all(wait["kind"] == ("rwlock" if wait["lock_name"] == "directory" else "mutex") for wait in found.values())
    assert "not verified" not in record["summary"]


@pytest.mark.parametrize(
    ("scene", "thread", "kind", "owner_state", "end"),
    [
        ("exited-owner", "only_alpha", "mutex", "gone", "which no longer exists"),
        ("slow-owner", "only_alpha", "mutex", "sleeping", "which sleeps"),
        ("slow-reader", "only_write_directory", "rwlock", "readers", "held by unknown readers"),
    ],
)
def test_a_chain_without_a_cycle_is_stuck_and_named_by_its_end(
    extracting: RunningDaemon, program: Path, scene: str, thread: str, kind: str, owner_state: str, end: str
) -> None:
    record = captured(extracting, program, scene)

    (wait,) = record["wait_for"]
    assert (record["finding"], record["cycle"]) == ("stuck", None)
    assert (wait["thread_name"], wait["kind"], wait["owner_state"], wait["stuck"]) == (thread, kind, owner_state, True)
    assert record["summary"].endswith(end)
