"""Tables: as wide as their contents, narrowed to the width of a terminal."""

import os
import sys
from collections.abc import Callable

import pytest

from astbtd.cli.table import Column, print_table

COLUMNS = (
    Column("TIME"),
    Column("PID", str.rjust, drop_order=2),
    Column("CORE", drop_order=1),
    Column("NOTE"),
    Column("FUNCTION", min_width=8),
)
ROWS = (("12:00", "7", "kept", "", "ast_bridge_join_and_leave"), ("13:00", "4242", "removed", "", "main"))

Print = Callable[..., list[str]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Print:
    """Prints the table on a terminal of this width, or into a pipe; returns the lines."""

    def printed(width: int | None = None) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: width is not None)
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(COLUMNS, ROWS)
        return capsys.readouterr().out.splitlines()

    return printed


def test_columns_are_aligned_and_as_wide_as_their_contents(printed: Print) -> None:
    assert printed() == [
        "TIME   PID CORE    FUNCTION",
        "12:00    7 kept    ast_bridge_join_and_leave",
        "13:00 4242 removed main",
    ]


def test_a_wide_terminal_omits_and_truncates_nothing(printed: Print) -> None:
    assert printed(200) == printed(None)


def test_columns_with_a_minimum_width_are_truncated_first(printed: Print) -> None:
    assert printed(40)[1] == "12:00    7 kept    ast_bridge_join_an..."


def test_columns_are_dropped_in_their_order_where_truncation_is_not_enough(printed: Print) -> None:
    assert printed(25) == [
        "TIME  CORE    FUNCTION",
        "12:00 kept    ast_brid...",
        "13:00 removed main",
    ]
    assert printed(15) == ["TIME  FUNCTION", "12:00 ast_br...", "13:00 main"]


def test_columns_without_drop_order_are_always_printed(printed: Print) -> None:
    assert printed(1) == ["TIME  FUNCTION", "12:00 ast_b...", "13:00 main"]


@pytest.mark.parametrize("width", range(15, 60))
def test_no_line_is_longer_than_the_terminal(printed: Print, width: int) -> None:
    assert max(map(len, printed(width))) <= width


def test_the_width_of_the_terminal_is_detected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((25, 24)))

    print_table(COLUMNS, ROWS)

    assert max(map(len, capsys.readouterr().out.splitlines())) == 25
