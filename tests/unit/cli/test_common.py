"""Progress of long work: on a terminal, after a second, and gone when the work is done."""

import sys
import time

import pytest

from astbtd.cli.common import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes only when a test says so."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_long_work_shows_how_far_it_is_and_takes_the_line_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    on_terminal(monkeypatch)
    with Progress("removing") as progress:
        progress.so_many(1, 5000)
        clock[0] += 1
        progress.so_many(2000, 5000)
        assert capsys.readouterr().err == "\rremoving: 2000 of 5000 "
        progress.so_many(2001, 5000)
        clock[0] += 1
        progress(3 << 20)
        progress.tick()
    assert capsys.readouterr().err == "\rremoving: 3.0M \r\x1b[K"


def test_short_work_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    on_terminal(monkeypatch)
    with Progress("removing") as progress:
        clock[0] += 0.9
        progress.so_many(4999, 5000)
    assert capsys.readouterr().err == ""


def test_where_nobody_watches_nothing_is_shown(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with Progress("removing") as progress:
        clock[0] += 10
        progress.tick()
    assert capsys.readouterr().err == ""
