"""Problems are logged once each, in the end all of them, however many there are."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from astbtd.announce import systemd
from astbtd.daemon.status_updates import StatusUpdater
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.watch_thread import WatchState
from astbtd.daemon.worker import Worker
from astbtd.model.daemon_state import STATE_FILE
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings
from astbtd.store.store import Store


@pytest.fixture
def status(tmp_path: Path) -> StatusUpdater:
    readiness: Any = SimpleNamespace(problems=(), usable=True, failed=())
    loops = CrashLoops(CrashLoopSettings(), tmp_path / "loops")
    return StatusUpdater(Worker(lambda: None), StoreStatistics(Store(tmp_path)), loops, readiness)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    sent: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: sent.append(message))
    return sent


def with_problems(*problems: str) -> WatchState:
    return WatchState(problems=problems)


def test_a_problem_is_logged_once_while_it_lasts_and_again_when_it_is_back(
    status: StatusUpdater, logged: list[str]
) -> None:
    for problems in (["/srv/core: no"], ["/srv/core: no"], [], ["/srv/core: no"]):
        status.update(with_problems(*problems))

    assert logged == ["/srv/core: no"] * 2


def test_what_is_too_much_now_is_logged_after_the_next_rescan(status: StatusUpdater, logged: list[str]) -> None:
    problems = [f"/srv/core.{number:02}: it cannot be claimed now" for number in range(50)]

    for _ in range(4):
        for _ in range(3):
            status.update(with_problems(*problems))
        status.allow_more_entries()

    assert logged == problems


def test_the_state_is_published_in_the_directory_of_the_unit_when_it_changes(
    status: StatusUpdater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    status.update(WatchState())
    published = tmp_path / STATE_FILE

    state = {"queued": 0, "more": False, "crash_loops": 0, "usable": True, "failed": []}
    assert json.loads(published.read_text()) == state
    assert published.stat().st_mode & 0o777 == 0o600
    before = published.stat()
    status.update(WatchState())
    assert published.stat() == before


def test_a_state_that_cannot_be_published_is_logged_once(
    status: StatusUpdater, tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "missing"))

    for _ in range(2):
        status.update(WatchState())

    assert logged == [
        f"cannot write {tmp_path}/missing/{STATE_FILE}: No such file or directory; the metrics are out of date"
    ]


def test_without_a_unit_no_state_is_published(
    status: StatusUpdater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)

    status.update(WatchState())

    assert not list(tmp_path.rglob(STATE_FILE))
