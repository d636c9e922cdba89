"""The status line: one line, problems first."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.announce import status_line
from astbtd.announce.status_line import Status
from tests.support.builders import crash
from tests.support.harmless import harmless

IDLE = Status(directories=1, crashes=0, stored=0, last=None, queued=0, processing=None, problems=())


def test_an_idle_daemon() -> None:
    assert status_line.format_status(IDLE) == "watching 1 directory; 0 crashes kept (0B); idle"


def test_a_busy_daemon_with_problems() -> None:
    busy = Status(
        directories=2,
        crashes=1,
        stored=120 << 20,
        last=crash(),
        queued=3,
        processing="20261122T120100Z-4242-0a1b2c",
        problems=("not watched: /srv cannot be watched", "no room"),
    )

    line = status_line.format_status(busy)

    assert line.startswith(
        "not watched: /srv cannot be watched; no room; watching 2 directories; 1 crash kept (120M); "
    )
    crashed_at = f"{crash().crashed_at.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    assert f"last crash {crashed_at}: SIGSEGV in ast_bridge_join (usable)" in line
    assert line.endswith("; processing 20261122T120100Z-4242-0a1b2c, 3 cores queued")


def test_an_unknown_signal_and_function_are_named_as_such() -> None:
    line = status_line.format_status(replace(IDLE, last=crash(signal=None, function=None)))

    assert "unknown signal in an unknown function" in line


def test_cores_that_are_not_claimed_yet_are_mentioned() -> None:
    line = status_line.format_status(replace(IDLE, queued=100, more=True))

    assert line.endswith("; 100 cores queued, more cores not claimed yet")


def test_one_core_is_singular() -> None:
    assert status_line.format_status(replace(IDLE, queued=1)).endswith("; 1 core queued")


@pytest.mark.parametrize("text", ["\nMAINPID=1", "\r\x1b[2J", "\u202e"])
def test_a_name_cannot_inject_a_message_to_systemd(text: str) -> None:
    line = status_line.format_status(
        replace(IDLE, last=crash(function=f"f{text}"), problems=(f"/srv/core{text}: no room",))
    )

    assert harmless(line)


@given(st.lists(st.text(), max_size=4), st.text())
def test_it_is_one_line_of_bounded_length(problems: Sequence[str], function: str) -> None:
    line = status_line.format_status(
        replace(IDLE, problems=[text * 100 for text in problems], last=crash(function=function))
    )

    assert harmless(line)
    assert len(line) <= 1000
