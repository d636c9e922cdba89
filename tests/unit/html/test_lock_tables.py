"""The tables of locks and waits, and the cycle or chain in them."""

from dataclasses import replace

from astbtd.backtrace import lock_listing
from astbtd.html.lock_tables import chain_of_capture, chain_of_listing, tabulate_listing, tabulate_waits
from astbtd.model.deadlock_capture import Finding, OwnerState
from tests.support.deadlocks import capture

CYCLE = """\
=== Thread ID: 0x1 LWP:11 (pbx_thread)
=== ---> Lock #0 (channel.c): MUTEX 111 ast_channel_get chan 0x10
=== ---> Waiting for Lock #1 (bridge.c): MUTEX 222 ast_bridge_join bridge 0x20
===
=== Thread ID: 0x2 LWP:12 (bridge_thread)
=== ---> Lock #0 (bridge.c): MUTEX 333 bridge_join bridge 0x20
=== ---> Waiting for Lock #1 (channel.c): MUTEX 444 ast_channel_try chan 0x10
"""


def test_each_lock_is_a_row_with_holders_and_waiters() -> None:
    table = tabulate_listing(lock_listing.parse(CYCLE))

    assert table
    assert table.rows == (
        ("bridge", "MUTEX", "0x20", "LWP 12 in bridge_join bridge.c:333", "LWP 11 in ast_bridge_join bridge.c:222"),
        ("chan", "MUTEX", "0x10", "LWP 11 in ast_channel_get channel.c:111", "LWP 12 in ast_channel_try channel.c:444"),
    )


def test_a_cycle_in_the_list_is_found() -> None:
    chain = chain_of_listing(lock_listing.parse(CYCLE))

    assert chain
    assert chain.closed
    assert [(step.thread, step.place, step.lock) for step in chain.steps] == [
        ("LWP 11", "ast_bridge_join bridge.c:222", "bridge"),
        ("LWP 12", "ast_channel_try channel.c:444", "chan"),
    ]


def test_without_locks_there_is_neither_table_nor_cycle() -> None:
    nothing = lock_listing.parse("this Asterisk was built without DEBUG_THREADS")

    assert (tabulate_listing(nothing), chain_of_listing(nothing), tabulate_waits(())) == (None, None, None)


def test_the_waits_of_a_capture_are_rows() -> None:
    table = tabulate_waits(capture().wait_for)

    assert table
    assert table.rows[0] == (
        *("LWP 11 pbx_thread", "try_calling app_queue.c:4321", "mutex queue 0x10"),
        *("LWP 12, waiting for a lock", "", ""),
    )


def test_the_cycle_of_a_capture_is_in_its_order() -> None:
    chain = chain_of_capture(replace(capture(), cycle=(12, 11)))

    assert chain
    assert chain.closed
    assert [(step.thread, step.lock) for step in chain.steps] == [
        ("LWP 12 pbx_thread", "0x20"),
        ("LWP 11 pbx_thread", "queue"),
    ]


def test_the_chain_of_stuck_threads_ends_at_the_one_that_does_not_wait() -> None:
    first, _ = capture().wait_for
    second = replace(first, lwp=12, owner_lwp=13, owner_state=OwnerState.IO, stuck=True)
    stuck = replace(capture(finding=Finding.STUCK), wait_for=(replace(first, stuck=True), second))

    chain = chain_of_capture(stuck)

    assert chain
    assert not chain.closed
    assert [step.thread for step in chain.steps] == ["LWP 11 pbx_thread", "LWP 12 pbx_thread", "LWP 13"]


def test_a_capture_in_which_nothing_hangs_has_no_chain() -> None:
    assert chain_of_capture(capture(finding=Finding.NONE)) is None
