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


def test_without_debug_threads_it_tells_nothing() -> None:
    listing = parse("No such command 'core show locks' (type 'core show help core show locks' for other commands)\n")

    assert (listing.names, listing.holders) == ({}, {})


def test_a_thread_without_an_lwp_holds_nothing_that_could_be_joined() -> None:
    listing = parse(LISTING.replace(" LWP:911", ""))

    assert listing.holders == {0xB64FAB48: (912,)}


@given(st.text(max_size=300))
def test_junk_never_raises(text: str) -> None:
    parse(LISTING[: len(text)] + text)
