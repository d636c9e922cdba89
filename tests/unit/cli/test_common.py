"""Progress of long work: shown on a terminal after a second, cleared when the work is done."""

import sys
import time

import pytest

from astbtd.cli.common import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test advances."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_long_work_shows_progress_and_clears_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    on_terminal(monkeypatch)
    with Progress("removing") as progress:
        progress.show_count(1, 5000)
        clock[0] += 1
        progress.show_count(2000, 5000)
        assert capsys.readouterr().err == "\rremoving: 2000 of 5000 "
        progress.show_count(2001, 5000)
        clock[0] += 1
        progress(3 << 20)
        progress.tick()
    assert capsys.readouterr().err == "\rremoving: 3.0M \r\x1b[K"


def test_short_work_shows_no_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    on_terminal(monkeypatch)
    with Progress("removing") as progress:
        clock[0] += 0.9
        progress.show_count(4999, 5000)
    assert capsys.readouterr().err == ""


def test_no_progress_without_a_terminal(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with Progress("removing") as progress:
        clock[0] += 10
        progress.tick()
    assert capsys.readouterr().err == ""
