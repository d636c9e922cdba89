"""The output of `core show locks`, with DEBUG_THREADS."""

from hypothesis import given
from hypothesis import strategies as st

from astbtd.backtrace.lock_listing import parse

LISTING = """
=======================================================================
=== 22.10.0
=== Currently Held Locks
=======================================================================
===
=== <pending> <lock#> (<file>): <lock type> <line num> <function> <lock name> <lock addr> (times locked)
===
=== Thread ID: 0x7f13ea9ed700 LWP:911 (pbx_thread           started at [ 6612] pbx.c ast_pbx_start())
=== ---> Lock #0 (features.c): RDLOCK 3304 ast_rdlock_call_features &features_lock 0x815660 (1)
	asterisk(ast_bt_get_addresses+0xe) [0x4fa57e]
=== ---> Waiting for Lock #1 (chan.c): MUTEX 421 device_state_cb &(&agents)->lock 0xb64fab48 (1)
=== --- ---> Locked Here: chan.c line 4304 (ast_indicate_data)
=== -------------------------------------------------------------------
===
=== Thread ID: 0x7f13ea9ed701 LWP:912 (do_monitor           started at [25114] chan_sip.c restart_monitor())
=== ---> Lock #0 (chan.c): MUTEX 24629 handle_request_do &(&agents)->lock 0xb64fab48 (2)
=== ---> Tried and failed to get Lock #1 (chan.c): WRLOCK 7 f &features_lock 0x815660 (0)
=== -------------------------------------------------------------------
"""


def test_it_names_locks_and_who_holds_them() -> None:
    listing = parse(LISTING)

    assert listing.names == {0x815660: "&features_lock", 0xB64FAB48: "&(&agents)->lock"}
    assert listing.holders == {0x815660: (911,), 0xB64FAB48: (912,)}


def test_it_says_where_a_thread_has_locked_and_which_locks_are_read() -> None:
    listing = parse(LISTING)

    held = listing.holding(911, 0x815660)
    assert held is not None
    assert (held.file, held.line) == ("features.c", 3304)
    assert listing.holding(912, 0x815660) is None
    assert [listing.is_read_held(address) for address in (0x815660, 0xB64FAB48, 1)] == [True, False, False]


def test_without_debug_threads_it_tells_nothing() -> None:
    listing = parse("No such command 'core show locks' (type 'core show help core show locks' for other commands)\n")

    assert (listing.names, listing.holders) == ({}, {})


def test_a_thread_without_an_lwp_holds_nothing_that_could_be_joined() -> None:
    listing = parse(LISTING.replace(" LWP:911", ""))

    assert listing.holders == {0xB64FAB48: (912,)}


@given(st.text(max_size=300))
def test_junk_never_raises(text: str) -> None:
    parse(LISTING[: len(text)] + text)


# Since 22, the times are in a second line. Recorded from 22.10.1, built with DEBUG_THREADS.
LISTING_WITH_TIMES = """
=======================================================================
=== 22.10.1
=== Currently Held Locks at Time: 498874:10:32.210312 =================
=======================================================================
===
=== <pending> <lock#> (<file>): <lock type> <line num> <function> <lock name> <lock addr>
=== <locked at>, <failed at>, <held for> (attempts, times locked)
===
=== Thread ID: 0x7f503e7b06c0 LWP:7461 (routine              started at [  131] res_scenes.c start())
=== ---> Lock #0 (res_scenes.c): RDLOCK 63 read_routes &routes 0x55e5cf85d580
===      498874:10:23.888061, 00:00:00.000000, 00:00:11.078816 (1, 1)
\t[0x55e5be74127a] asterisk lock.c:979 __ast_rwlock_rdlock()
=== ---> Waiting for Lock #1 (res_scenes.c): MUTEX 36 want_a &mutex_a 0x7f5055ee10c0
===      498874:10:23.888133, 00:00:00.000000, 00:00:11.093395 (1, 1)
=== --- ---> Locked Here: res_scenes.c line 36 (want_a)
=== -------------------------------------------------------------------
===
=== Thread ID: 0x7f503e7336c0 LWP:7462 (routine              started at [  131] res_scenes.c start())
=== ---> Lock #0 (res_scenes.c): MUTEX 37 want_a &mutex_a 0x7f5055ee10c0
===      498874:10:23.888103, 00:00:00.000000, 00:00:11.098589 (1, 1)
=== ---> Waiting for Lock #1 (res_scenes.c): WRLOCK 64 write_routes &routes 0x55e5cf85d580
===      498874:10:23.888121, 00:00:00.000000, 00:00:11.103654 (1, 1)
=== -------------------------------------------------------------------
"""


def test_a_listing_with_times_in_a_second_line_names_locks_holders_and_waiters() -> None:
    listing = parse(LISTING_WITH_TIMES)

    assert listing.names == {0x55E5CF85D580: "&routes", 0x7F5055EE10C0: "&mutex_a"}
    assert listing.holders == {0x55E5CF85D580: (7461,), 0x7F5055EE10C0: (7462,)}
    assert {lwp: lock.address for lwp, lock in listing.awaited_by_lwp.items()} == {
        7461: 0x7F5055EE10C0,
        7462: 0x55E5CF85D580,
    }
    assert listing.is_read_held(0x55E5CF85D580)
    assert not listing.is_read_held(0x7F5055EE10C0)


def test_an_entry_says_where_the_lock_was_locked() -> None:
    held = parse(LISTING_WITH_TIMES).holding(7462, 0x7F5055EE10C0)

    assert held is not None
    assert (held.file, held.line, held.function) == ("res_scenes.c", 37, "want_a")


def test_a_suspended_lock_is_neither_held_nor_awaited() -> None:
    """Its thread waits for a condition, which releases the mutex. locks.txt lists it."""
    listing = parse(
        "=== Thread ID: 0x7f503e7b06c0 LWP:7461 (wait)\n=== ---> Suspended Lock #0 (a.c): MUTEX 36 f &guard 0x7f50\n"
    )

    assert (listing.held, listing.awaited) == ((), ())
    assert listing.names == {0x7F50: "&guard"}
