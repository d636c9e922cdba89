"""Cycles of waiting threads, also where very many wait for one another."""

from itertools import chain

from astbtd.diagnosis.deadlock.cycles import find_cycles


def test_each_cycle_begins_with_its_lowest_thread() -> None:
    assert find_cycles({30: (10,), 10: (20,), 20: (30,), 7: (5,), 5: (7,), 1: (10,)}) == [(5, 7), (10, 20, 30)]


def test_of_very_many_cycles_that_share_their_threads_some_are_found() -> None:
    threads = range(400)

    cycles = find_cycles(dict.fromkeys(threads, threads))

    assert (0,) in cycles
    assert len(list(chain.from_iterable(cycles))) <= 100_000
