"""Who waits for whom, read from registers, locks and frames, and what it means."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.backtrace import lock_listing
from astbtd.backtrace.parser import parse
from astbtd.diagnosis.deadlock.wait_graph import WaitSample, analyze_samples, build_sample
from astbtd.model.deadlock_capture import Finding, LockKind, OwnerState, ThreadState, ThreadStates
from tests.support.deadlocks import (
    FUTEX,
    MUTEX_FRAMES,
    STRIPPED_FRAMES,
    ReportedThread,
    elsewhere,
    listing,
    mutex,
    rwlock,
    sample_of,
)

A, B, C = 0x7F0000001000, 0x7F0000002000, 0x7F0000003000
CYCLE = (mutex(11, A, 12), mutex(12, B, 11))


def test_two_threads_that_want_each_others_mutex_are_a_deadlock() -> None:
    analysis = analyze_samples([sample_of(*CYCLE)])

    assert (analysis.finding, analysis.cycle) == (Finding.DEADLOCK, (11, 12))
    assert analysis.summary == (
        f"deadlock: LWP 11 (pbx_thread, app_queue.c:104) waits for mutex {A:#x} held by LWP 12, "
        f"which waits for mutex {B:#x} held by LWP 11"
    )


def test_waits_have_lock_kind_owner_and_location() -> None:
    wait, _ = analyze_samples([sample_of(*CYCLE)]).waits

    assert (wait.lwp, wait.lock, wait.kind, wait.owner_lwp) == (11, f"{A:#x}", LockKind.MUTEX, 12)
    assert (wait.function, wait.file, wait.line, wait.thread_name) == ("wait_11", "app_queue.c", 104, "pbx_thread")
    assert (wait.owner_state, wait.stuck) == (OwnerState.WAITING, None)


def test_a_cycle_of_three_threads_starts_with_the_lowest() -> None:
    analysis = analyze_samples([sample_of(mutex(30, A, 10), mutex(10, B, 20), mutex(20, C, 30))])

    assert analysis.cycle == (10, 20, 30)
    assert "held by LWP 20, which waits for" in analysis.summary
    assert analysis.summary.endswith("held by LWP 10")


def test_a_thread_that_wants_its_own_lock_is_a_deadlock() -> None:
    analysis = analyze_samples([sample_of(mutex(11, A, 11))])

    assert analysis.cycle == (11,)
    assert analysis.summary.endswith(f"waits for mutex {A:#x}, which it holds itself")


def test_threads_that_wait_for_a_cycle_are_not_part_of_it() -> None:
    analysis = analyze_samples([sample_of(*CYCLE, mutex(9, A, 12))])

    assert analysis.cycle == (11, 12)
    assert len(analysis.waits) == 3


def test_two_cycles_are_both_described() -> None:
    analysis = analyze_samples([sample_of(*CYCLE, mutex(21, C, 22), mutex(22, C + 64, 21))])

    assert analysis.cycle == (11, 12)
    (other,) = analysis.others
    assert other.startswith("LWP 21 ")


def test_a_rwlock_held_by_a_writer_is_part_of_a_cycle() -> None:
    analysis = analyze_samples([sample_of(mutex(11, A, 12), rwlock(12, B, 11, readers=1, phase=3))])

    assert analysis.cycle == (11, 12)
    assert [wait.kind for wait in analysis.waits] == [LockKind.MUTEX, LockKind.RWLOCK]
    assert analysis.waits[1].lock == f"{B:#x}"


@pytest.mark.parametrize(("futex", "value"), [(8, 3), (12, 3), (0, 14)])
def test_a_rwlock_is_found_by_each_of_its_futexes(futex: int, value: int) -> None:
    (wait,) = analyze_samples([sample_of(rwlock(11, A, 99, futex=futex, value=value))]).waits

    assert (wait.lock, wait.owner_lwp) == (f"{A:#x}", 99)


def test_a_rwlock_held_by_readers_has_no_owner() -> None:
    seen = sample_of(rwlock(11, A, 0, readers=2, futex=12))
    analysis = analyze_samples([seen, seen])

    (wait,) = analysis.waits
    assert (wait.owner_lwp, wait.owner_state) == (None, OwnerState.READERS)
    assert analysis.summary.endswith(f"waits for rwlock {A:#x} held by unknown readers")


def test_a_lock_that_is_being_handed_over_has_no_owner() -> None:
    (wait,) = analyze_samples([sample_of(mutex(11, A, 0))]).waits

    assert (wait.owner_lwp, wait.owner_state) == (None, OwnerState.UNKNOWN)


def test_a_wait_with_a_time_limit_is_not_part_of_a_deadlock() -> None:
    analysis = analyze_samples([sample_of(mutex(11, A, 12, timeout=0x7F01), mutex(12, B, 11))])

    assert analysis.cycle is None


@pytest.mark.parametrize("frames", [STRIPPED_FRAMES, MUTEX_FRAMES])
def test_symbols_are_not_needed(frames: tuple[str, ...]) -> None:
    assert analyze_samples([sample_of(mutex(11, A, 12, frames=frames), mutex(12, B, 11, frames=frames))]).cycle == (
        11,
        12,
    )


@pytest.mark.parametrize(
    "frames",
    [
        ("__lll_lock_wait_private", "_int_malloc", "malloc"),
        ("??", "malloc"),
        ("__lll_lock_wait_private", "fputs"),
        ("futex_wait", "__pthread_cond_wait_common", "pthread_cond_wait"),
        ("??", "??"),
    ],
)
def test_internal_locks_of_the_c_library_are_not_mutexes(frames: tuple[str, ...]) -> None:
    assert analyze_samples([sample_of(mutex(11, A, 12, frames=frames))]).waits == ()


def test_a_wait_to_take_a_mutex_again_after_a_condition_counts() -> None:
    frames = ("__lll_lock_wait", "__pthread_mutex_cond_lock", "__pthread_cond_wait_common", "pthread_cond_wait")

    assert analyze_samples([sample_of(mutex(11, A, 12, frames=frames), mutex(12, B, 11))]).cycle == (11, 12)


@pytest.mark.parametrize(
    ("owner", "state", "words"),
    [
        (elsewhere(12, None, "busy_loop"), OwnerState.RUNNING, "which is running"),
        (elsewhere(12, 7, "__poll"), OwnerState.IO, "which waits for I/O"),
        (elsewhere(12, 202, "pthread_cond_wait"), OwnerState.CONDITION, "which waits on a condition"),
        (elsewhere(12, 230, "clock_nanosleep"), OwnerState.SLEEPING, "which sleeps"),
        (elsewhere(12, 219, "??", "__clock_nanosleep"), OwnerState.SLEEPING, "which sleeps"),
        (elsewhere(12, 219, "??"), OwnerState.SYSTEM_CALL, "which is in a system call"),
        (elsewhere(12, 128, "sigtimedwait"), OwnerState.SIGNAL, "which waits for a signal"),
        (elsewhere(12, 61, "wait4"), OwnerState.CHILD, "which waits for a child process"),
        (elsewhere(13, None, "another"), OwnerState.GONE, "which no longer exists"),
    ],
)
def test_a_chain_ends_with_the_activity_of_the_last_owner(owner: ReportedThread, state: OwnerState, words: str) -> None:
    seen = sample_of(mutex(10, B, 11), mutex(11, A, 12), owner)
    analysis = analyze_samples([seen, seen])

    assert analysis.finding is Finding.STUCK
    assert analysis.waits[1].owner_state is state
    assert analysis.summary == (
        f"stuck: LWP 10 (pbx_thread, app_queue.c:104) waits for mutex {B:#x} held by LWP 11, "
        f"which waits for mutex {A:#x} held by LWP 12, {words}"
    )


def test_the_state_of_an_owner_that_could_not_be_stopped_is_unknown() -> None:
    state, text = mutex(11, A, 12)
    (edge,) = build_sample(parse(text), ThreadStates("i386:x86-64", (state,)), not_stopped=[12]).edges

    assert edge.wait.owner_state is OwnerState.UNKNOWN


def test_only_threads_at_the_same_location_in_every_sample_are_stuck() -> None:
    owner = elsewhere(12, 230, "sleep")
    analysis = analyze_samples(
        [sample_of(mutex(11, A, 12), owner), sample_of(mutex(11, A, 12), mutex(13, B, 12), owner)]
    )

    assert {wait.lwp: wait.stuck for wait in analysis.waits} == {11: True, 13: False}
    assert "LWP 13" not in analysis.summary


def test_threads_that_moved_are_not_a_finding() -> None:
    analysis = analyze_samples([sample_of(mutex(11, A, 12)), sample_of(mutex(11, B, 12), elsewhere(12, None))])

    assert analysis.finding is Finding.NONE
    assert analysis.summary == "no deadlock: 1 thread waits for a lock, but none of them in every sample"


def test_a_thread_that_ran_between_two_samples_is_not_stuck() -> None:
    threads = (mutex(11, A, 12), mutex(13, A, 12), elsewhere(12, None))
    analysis = analyze_samples([sample_of(*threads), sample_of(*threads, inactive_lwps=frozenset({13}))])

    assert {wait.lwp: wait.stuck for wait in analysis.waits} == {11: False, 13: True}


def test_one_sample_cannot_show_whether_threads_are_stuck() -> None:
    analysis = analyze_samples([sample_of(mutex(11, A, 12), elsewhere(12, None))])

    assert analysis.finding is Finding.UNKNOWN
    assert "one sample" in analysis.summary


def test_without_waiting_threads_there_is_no_deadlock() -> None:
    analysis = analyze_samples([sample_of(elsewhere(1, 7, "poll"))])

    assert (analysis.finding, analysis.summary) == (Finding.NONE, "no deadlock: no thread waits for a lock")


def test_a_cycle_that_is_gone_in_the_last_sample_is_not_a_deadlock() -> None:
    assert analyze_samples([sample_of(*CYCLE), sample_of(mutex(11, A, 12), elsewhere(12, None))]).cycle is None


def test_another_machine_is_unknown() -> None:
    assert analyze_samples([sample_of(*CYCLE, machine="s390:64-bit")]).finding is Finding.UNKNOWN
    assert analyze_samples([sample_of(*CYCLE, machine=None)]).finding is Finding.UNKNOWN


def test_aarch64_is_supported() -> None:
    states = [(replace(state, syscall=FUTEX["aarch64"]), text) for state, text in CYCLE]
    analysis = analyze_samples([sample_of(*states, machine="aarch64")])

    assert analysis.cycle == (11, 12)
    assert analysis.summary.endswith("held by LWP 11")


LISTING = f"""
=== Thread ID: 0x7f01 LWP:11 (pbx_thread           started at [ 6612] pbx.c ast_pbx_start())
=== ---> Lock #0 (app_queue.c): RDLOCK 900 leave_queue &queue_lock {B:#x} (1)
=== ---> Waiting for Lock #1 (app_queue.c): MUTEX 4321 try_calling q->lock {A:#x} (1)
=== -------------------------------------------------------------------
"""


def test_core_show_locks_names_locks_and_readers() -> None:
    threads = (mutex(11, A, 12), rwlock(12, B, 0, readers=1, futex=12))
    seen = build_sample(
        parse("".join(text for _, text in threads)),
        ThreadStates("i386:x86-64", tuple(state for state, _ in threads)),
        lock_listing.parse(LISTING),
    )
    analysis = analyze_samples([seen, seen])

    assert analysis.cycle == (11, 12)
    assert analysis.summary.endswith("waits for q->lock held by LWP 12, which waits for queue_lock held by LWP 11")
    assert analyze_samples([seen]).cycle is None, "the listing is from a moment later, and may describe other locks"


def test_the_lock_has_the_name_that_asterisk_passes_to_its_wrapper() -> None:
    state, _ = mutex(11, A, 12)
    wrapper = (
        '__ast_pthread_mutex_lock (filename=0x1 "a.c", lineno=7, func=0x2 "f", mutex_name=0x3 "&chan_lock", t=0x4)'
    )
    text = listing(11, "___pthread_mutex_lock", "wait_11").replace("#1 ", f"#1  0x9 in {wrapper} at lock.c:9\n#2 ")
    (edge,) = build_sample(parse(text), ThreadStates("i386:x86-64", (state,))).edges

    assert edge.wait.lock_name == "chan_lock"


def test_without_that_name_the_lock_has_the_name_of_its_symbol() -> None:
    state, text = mutex(11, A, 12)
    (edge,) = build_sample(parse(text), ThreadStates("i386:x86-64", (replace(state, symbol="channel_lock"),))).edges

    assert edge.wait.lock_name == "channel_lock"


@pytest.mark.parametrize("near", [None, "", "zz", "00" * 10])
def test_memory_that_could_not_be_read_leaves_the_owner_unknown(near: str | None) -> None:
    state, text = mutex(11, A, 12)
    (edge,) = build_sample(parse(text), ThreadStates("i386:x86-64", (replace(state, near=near),))).edges

    assert (edge.wait.owner_lwp, edge.wait.owner_state) == (None, OwnerState.UNKNOWN)


numbers = st.integers(min_value=0, max_value=2**64 - 1)
states = st.builds(
    ThreadState,
    lwp=st.integers(0, 6),
    syscall=st.one_of(st.none(), st.sampled_from([202, 219, 7]), st.integers()),
    arguments=st.one_of(st.tuples(), st.tuples(numbers, st.sampled_from([0x80, 0x189, 3]), numbers, st.just(0))),
    stack_pointer=numbers,
    near=st.one_of(st.none(), st.text(max_size=20), st.binary(min_size=80, max_size=80).map(bytes.hex)),
    symbol=st.one_of(st.none(), st.text(max_size=20)),
)


@given(st.lists(states, max_size=7), st.integers(1, 3))
def test_any_report_gives_an_analysis(reported: list[ThreadState], samples: int) -> None:
    text = "".join(listing(lwp, *MUTEX_FRAMES, f"wait_{lwp}") for lwp in range(7))
    seen = build_sample(parse(text), ThreadStates("i386:x86-64", tuple(reported)))

    assert analyze_samples([seen] * samples).summary


@given(st.dictionaries(st.integers(1, 8), st.integers(1, 8), max_size=8))
def test_a_deadlock_is_found_exactly_if_following_owners_leads_back(owners: dict[int, int]) -> None:
    analysis = analyze_samples([sample_of(*(mutex(lwp, A + 64 * lwp, owner) for lwp, owner in owners.items()))])

    def leads_back(start: int) -> bool:
        lwp = owners.get(start)
        for _ in owners:
            if lwp == start:
                return True
            lwp = owners.get(lwp or 0)
        return False

    assert (analysis.cycle is not None) == any(map(leads_back, owners))


def sample_with_listing(*threads: ReportedThread, consistent: bool = False, listing: str = LISTING) -> WaitSample:
    return build_sample(
        parse("".join(text for _, text in threads)),
        ThreadStates("i386:x86-64", tuple(state for state, _ in threads)),
        lock_listing.parse(listing),
        consistent=consistent,
    )


def test_a_listing_from_the_same_core_makes_a_cycle_through_a_reader_certain() -> None:
    """locks.txt of a crash is read from the core; there is no second sample."""
    sample = sample_with_listing(mutex(11, A, 12), rwlock(12, B, 0, readers=1, futex=12), consistent=True)

    analysis = analyze_samples([sample])

    assert analysis.cycle == (11, 12)
    assert {wait.lwp: wait.locked_at for wait in analysis.waits} == {11: None, 12: "app_queue.c:900 (leave_queue)"}


POLLING_FRAMES = ("clock_nanosleep", "nanosleep", "usleep", "__ast_pthread_mutex_lock")


def polling(lwp: int, lock: int, owner: int) -> ReportedThread:
    """Return a thread of a build with DETECT_DEADLOCKS that sleeps before it tries to lock a mutex again."""
    words = struct.pack("<IIIII", 1, 1, owner, 1, 0)
    near = (bytes(16) + words).ljust(80, b"\xee").hex()
    state = ThreadState(lwp, 230, (0, 0, 0x7F00, 0, 0, 0), 0x7F00 + lwp, near, None, polled_lock=lock)
    return state, listing(lwp, *POLLING_FRAMES, f"wait_{lwp}", "start_thread")


def test_threads_that_try_and_sleep_in_turns_are_a_deadlock() -> None:
    analysis = analyze_samples([sample_of(polling(11, A, 12), polling(12, B, 11))])

    assert (analysis.finding, analysis.cycle) == (Finding.DEADLOCK, (11, 12))


def test_a_thread_that_sleeps_elsewhere_does_not_poll() -> None:
    state, _ = polling(11, A, 12)
    text = listing(11, "clock_nanosleep", "nanosleep", "usleep", "wait_11", "start_thread")

    assert build_sample(parse(text), ThreadStates("i386:x86-64", (state,))).edges == ()


def test_the_listing_says_which_lock_a_thread_polls_if_the_frames_do_not() -> None:
    state, text = polling(11, A, 12)
    unread = (replace(state, polled_lock=None, near=None), text)
    listed = f"{LISTING}=== Thread ID: 0x7f02 LWP:12 (x)\n=== ---> Lock #0 (a.c): MUTEX 1 f q->lock {A:#x} (1)\n"

    (edge,) = sample_with_listing(unread, elsewhere(12, 7, "poll"), listing=listed).edges

    assert (edge.wait.lock, edge.wait.owner_lwp, edge.polled) == (f"{A:#x}", 12, True)


def test_it_is_not_called_no_deadlock_while_the_listing_shows_waiters() -> None:
    sample = sample_with_listing(elsewhere(11, None, "spin"), elsewhere(12, 7, "poll"))

    analysis = analyze_samples([sample, sample])

    assert analysis.finding is Finding.UNKNOWN
    assert "LWP 11 for q->lock" in analysis.summary
