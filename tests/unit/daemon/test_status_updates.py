"""Problems are logged once each, in the end all of them, however many there are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from astbtd.announce import systemd
from astbtd.daemon.status_updates import StatusUpdater
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.watch_thread import WatchState
from astbtd.daemon.worker import Worker
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings
from astbtd.store.store import Store


@pytest.fixture
def status(tmp_path: Path) -> StatusUpdater:
    readiness: Any = SimpleNamespace(problems=())
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
