"""A budget ends the reading of a file after so many bytes, or so much processor time."""

import time

import pytest

from astbtd.lib.read_budget import BudgetExceeded, ReadBudget, unlimited


def read_some(*arguments: int) -> bytes:
    return bytes(arguments[-1])


def test_bytes_are_charged_however_they_are_read() -> None:
    budget = ReadBudget(size=100, seconds=60.0)

    assert budget.positional(read_some)(5, 40) == bytes(40)
    assert budget.sequential(read_some)(60) == bytes(60)

    with pytest.raises(BudgetExceeded, match="read more than 100"):
        budget.sequential(read_some)(1)


def test_the_time_for_blocks_without_content_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "thread_time", lambda: float(next(seconds)))
    budget = ReadBudget(size=100, seconds=5.0)
    blocks = budget.blocks(iter([b""] * 100))

    with pytest.raises(BudgetExceeded, match="more than 5 s of processor time"):
        list(blocks)


def test_nothing_exceeds_an_unlimited_budget() -> None:
    assert len(unlimited().sequential(read_some)(1 << 20)) == 1 << 20
