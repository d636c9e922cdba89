"""The status line: one line, what is wrong first."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.announce import status_line
from astbtd.announce.status_line import Status
from tests.support.builders import crash
from tests.support.harmless import harmless

QUIET = Status(places=1, crashes=0, stored=0, last=None, waiting=0, working_on=None, problems=())


def test_a_quiet_daemon() -> None:
    assert status_line.line(QUIET) == "watching 1 place; 0 crashes kept (0B); idle"


def test_all_that_it_tells() -> None:
    busy = Status(
        places=2,
        crashes=1,
        stored=120 << 20,
        last=crash(),
        waiting=3,
        working_on="20261122T120100Z-4242-0a1b2c",
        problems=("not watched: /srv cannot be watched", "no room"),
    )

    line = status_line.line(busy)

    assert line.startswith("not watched: /srv cannot be watched; no room; watching 2 places; 1 crash kept (120M); ")
    assert (
        f"last crash {crash().crashed_at.astimezone():%Y-%m-%d %H:%M:%S}: SIGSEGV in ast_bridge_join (usable)" in line
    )
    assert line.endswith("; examining 20261122T120100Z-4242-0a1b2c, 3 cores waiting")


def test_what_is_unknown_of_the_last_crash_is_said_to_be() -> None:
    line = status_line.line(replace(QUIET, last=crash(signal=None, function=None)))

    assert "unknown signal in an unknown function" in line


def test_one_core_is_no_cores() -> None:
    assert status_line.line(replace(QUIET, waiting=1)).endswith("; 1 core waiting")


@pytest.mark.parametrize("text", ["\nMAINPID=1", "\r\x1b[2J", "\u202e"])
def test_a_name_cannot_pass_for_a_message_to_systemd(text: str) -> None:
    line = status_line.line(replace(QUIET, last=crash(function=f"f{text}"), problems=(f"/srv/core{text}: no room",)))

    assert harmless(line)


@given(st.lists(st.text(), max_size=4), st.text())
def test_it_is_one_line_of_bounded_length(problems: Sequence[str], function: str) -> None:
    line = status_line.line(replace(QUIET, problems=[text * 100 for text in problems], last=crash(function=function)))

    assert harmless(line)
    assert len(line) <= 1000
