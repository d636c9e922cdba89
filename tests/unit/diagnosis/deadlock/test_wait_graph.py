"""Who waits for whom is read off registers, lock words and frames; what it comes to is said in one line."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.backtrace import lock_listing
from astbtd.backtrace.parser import parse
from astbtd.diagnosis.deadlock.wait_graph import conclude, sight
from astbtd.model.deadlock_capture import Finding, LockKind, OwnerState, ThreadState, ThreadStates
from tests.support.deadlocks import (
    FUTEX,
    MUTEX_FRAMES,
    STRIPPED_FRAMES,
    Told,
    elsewhere,
    listing,
    mutex,
    rwlock,
    sighting,
)

A, B, C = 0x7F0000001000, 0x7F0000002000, 0x7F0000003000
CIRCLE = (mutex(11, A, 12), mutex(12, B, 11))


def test_two_threads_with_each_others_mutex_are_a_deadlock() -> None:
    conclusion = conclude([sighting(*CIRCLE)])

    assert (conclusion.finding, conclusion.cycle) == (Finding.DEADLOCK, (11, 12))
    assert conclusion.summary == (
        f"deadlock: LWP 11 (pbx_thread, app_queue.c:104) waits for mutex {A:#x} held by LWP 12, "
        f"which waits for mutex {B:#x} held by LWP 11"
    )


def test_the_waits_tell_lock_kind_owner_and_place() -> None:
    wait, _ = conclude([sighting(*CIRCLE)]).waits

    assert (wait.lwp, wait.lock, wait.kind, wait.owner_lwp) == (11, f"{A:#x}", LockKind.MUTEX, 12)
    assert (wait.function, wait.file, wait.line, wait.thread_name) == ("wait_11", "app_queue.c", 104, "pbx_thread")
    assert (wait.owner_state, wait.stuck) == (OwnerState.WAITING, None)


def test_three_threads_in_a_circle_are_a_deadlock_told_from_the_lowest_on() -> None:
    conclusion = conclude([sighting(mutex(30, A, 10), mutex(10, B, 20), mutex(20, C, 30))])

    assert conclusion.cycle == (10, 20, 30)
    assert "held by LWP 20, which waits for" in conclusion.summary
    assert conclusion.summary.endswith("held by LWP 10")


def test_a_thread_that_wants_what_it_has_is_a_deadlock_by_itself() -> None:
    conclusion = conclude([sighting(mutex(11, A, 11))])

    assert conclusion.cycle == (11,)
    assert conclusion.summary.endswith(f"waits for mutex {A:#x}, which it holds itself")


def test_threads_that_wait_for_a_circle_are_no_part_of_it() -> None:
    conclusion = conclude([sighting(*CIRCLE, mutex(9, A, 12))])

    assert conclusion.cycle == (11, 12)
    assert len(conclusion.waits) == 3


def test_two_circles_are_both_told() -> None:
    conclusion = conclude([sighting(*CIRCLE, mutex(21, C, 22), mutex(22, C + 64, 21))])

    assert conclusion.cycle == (11, 12)
    (other,) = conclusion.others
    assert other.startswith("LWP 21 ")


def test_a_rwlock_held_by_a_writer_is_part_of_a_circle() -> None:
    conclusion = conclude([sighting(mutex(11, A, 12), rwlock(12, B, 11, readers=1, phase=3))])

    assert conclusion.cycle == (11, 12)
    assert [wait.kind for wait in conclusion.waits] == [LockKind.MUTEX, LockKind.RWLOCK]
    assert conclusion.waits[1].lock == f"{B:#x}"


@pytest.mark.parametrize(("futex", "value"), [(8, 3), (12, 3), (0, 14)])
def test_a_rwlock_is_found_whichever_of_its_words_is_waited_on(futex: int, value: int) -> None:
    (wait,) = conclude([sighting(rwlock(11, A, 99, futex=futex, value=value))]).waits

    assert (wait.lock, wait.owner_lwp) == (f"{A:#x}", 99)


def test_a_rwlock_held_by_readers_names_nobody() -> None:
    seen = sighting(rwlock(11, A, 0, readers=2, futex=12))
    conclusion = conclude([seen, seen])

    (wait,) = conclusion.waits
    assert (wait.owner_lwp, wait.owner_state) == (None, OwnerState.READERS)
    assert conclusion.summary.endswith(f"waits for rwlock {A:#x} held by readers, unknown which")


def test_a_lock_that_changes_hands_has_no_owner() -> None:
    (wait,) = conclude([sighting(mutex(11, A, 0))]).waits

    assert (wait.owner_lwp, wait.owner_state) == (None, OwnerState.UNKNOWN)


def test_a_wait_that_ends_in_time_by_itself_makes_no_deadlock() -> None:
    conclusion = conclude([sighting(mutex(11, A, 12, timeout=0x7F01), mutex(12, B, 11))])

    assert conclusion.cycle is None


@pytest.mark.parametrize("frames", [STRIPPED_FRAMES, MUTEX_FRAMES])
def test_symbols_are_not_needed(frames: tuple[str, ...]) -> None:
    assert conclude([sighting(mutex(11, A, 12, frames=frames), mutex(12, B, 11, frames=frames))]).cycle == (11, 12)


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
def test_locks_that_only_look_like_a_mutex_are_none(frames: tuple[str, ...]) -> None:
    assert conclude([sighting(mutex(11, A, 12, frames=frames))]).waits == ()


def test_a_mutex_taken_again_after_a_condition_is_waited_for() -> None:
    frames = ("__lll_lock_wait", "__pthread_mutex_cond_lock", "__pthread_cond_wait_common", "pthread_cond_wait")

    assert conclude([sighting(mutex(11, A, 12, frames=frames), mutex(12, B, 11))]).cycle == (11, 12)


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
def test_a_chain_is_named_by_its_end(owner: Told, state: OwnerState, words: str) -> None:
    seen = sighting(mutex(10, B, 11), mutex(11, A, 12), owner)
    conclusion = conclude([seen, seen])

    assert conclusion.finding is Finding.STUCK
    assert conclusion.waits[1].owner_state is state
    assert conclusion.summary == (
        f"stuck: LWP 10 (pbx_thread, app_queue.c:104) waits for mutex {B:#x} held by LWP 11, "
        f"which waits for mutex {A:#x} held by LWP 12, {words}"
    )


def test_an_owner_that_could_not_be_stopped_is_not_called_gone() -> None:
    state, text = mutex(11, A, 12)
    (one,) = sight(parse(text), ThreadStates("i386:x86-64", (state,)), unseen=[12]).waiting

    assert one.wait.owner_state is OwnerState.UNKNOWN


def test_threads_that_sit_at_the_same_place_in_every_sample_are_stuck_and_those_that_moved_are_not() -> None:
    owner = elsewhere(12, 230, "sleep")
    conclusion = conclude([sighting(mutex(11, A, 12), owner), sighting(mutex(11, A, 12), mutex(13, B, 12), owner)])

    assert {wait.lwp: wait.stuck for wait in conclusion.waits} == {11: True, 13: False}
    assert "LWP 13" not in conclusion.summary


def test_threads_that_moved_are_no_finding() -> None:
    conclusion = conclude([sighting(mutex(11, A, 12)), sighting(mutex(11, B, 12), elsewhere(12, None))])

    assert conclusion.finding is Finding.NONE
    assert conclusion.summary == "no deadlock: 1 thread waits for a lock, and none did in every sample"


def test_a_thread_that_ran_between_two_samples_at_the_same_place_is_not_stuck() -> None:
    threads = (mutex(11, A, 12), mutex(13, A, 12), elsewhere(12, None))
    conclusion = conclude([sighting(*threads), sighting(*threads, rested=frozenset({13}))])

    assert {wait.lwp: wait.stuck for wait in conclusion.waits} == {11: False, 13: True}


def test_one_sample_cannot_tell_whether_threads_are_stuck() -> None:
    conclusion = conclude([sighting(mutex(11, A, 12), elsewhere(12, None))])

    assert conclusion.finding is Finding.UNKNOWN
    assert "one sample" in conclusion.summary


def test_no_thread_that_waits_is_no_deadlock() -> None:
    conclusion = conclude([sighting(elsewhere(1, 7, "poll"))])

    assert (conclusion.finding, conclusion.summary) == (Finding.NONE, "no deadlock: no thread waits for a lock")


def test_a_circle_that_came_apart_is_no_deadlock() -> None:
    assert conclude([sighting(*CIRCLE), sighting(mutex(11, A, 12), elsewhere(12, None))]).cycle is None


def test_another_machine_is_unknown() -> None:
    assert conclude([sighting(*CIRCLE, machine="s390:64-bit")]).finding is Finding.UNKNOWN
    assert conclude([sighting(*CIRCLE, machine=None)]).finding is Finding.UNKNOWN


def test_aarch64_is_read_and_marked_as_not_verified() -> None:
    states = [(replace(state, syscall=FUTEX["aarch64"]), text) for state, text in CIRCLE]
    conclusion = conclude([sighting(*states, machine="aarch64")])

    assert conclusion.cycle == (11, 12)
    assert conclusion.summary.endswith(" (not verified on this machine)")


LISTING = f"""
=== Thread ID: 0x7f01 LWP:11 (pbx_thread           started at [ 6612] pbx.c ast_pbx_start())
=== ---> Lock #0 (app_queue.c): RDLOCK 900 leave_queue &queue_lock {B:#x} (1)
=== ---> Waiting for Lock #1 (app_queue.c): MUTEX 4321 try_calling q->lock {A:#x} (1)
=== -------------------------------------------------------------------
"""


def test_core_show_locks_names_locks_and_readers() -> None:
    threads = (mutex(11, A, 12), rwlock(12, B, 0, readers=1, futex=12))
    seen = sight(
        parse("".join(text for _, text in threads)),
        ThreadStates("i386:x86-64", tuple(state for state, _ in threads)),
        lock_listing.parse(LISTING),
    )
    conclusion = conclude([seen, seen])

    assert conclusion.cycle == (11, 12)
    assert conclusion.summary.endswith("waits for q->lock held by LWP 12, which waits for &queue_lock held by LWP 11")
    assert conclude([seen]).cycle is None, "what Asterisk said a moment later may have been another lock already"


def test_the_name_that_asterisks_wrapper_is_given_is_the_locks() -> None:
    state, _ = mutex(11, A, 12)
    wrapper = (
        '__ast_pthread_mutex_lock (filename=0x1 "a.c", lineno=7, func=0x2 "f", mutex_name=0x3 "&chan_lock", t=0x4)'
    )
    text = listing(11, "___pthread_mutex_lock", "wait_11").replace("#1 ", f"#1  0x9 in {wrapper} at lock.c:9\n#2 ")
    (one,) = sight(parse(text), ThreadStates("i386:x86-64", (state,))).waiting

    assert one.wait.lock_name == "chan_lock"


def test_the_symbol_at_the_lock_is_its_name_otherwise() -> None:
    state, text = mutex(11, A, 12)
    (one,) = sight(parse(text), ThreadStates("i386:x86-64", (replace(state, symbol="channel_lock"),))).waiting

    assert one.wait.lock_name == "channel_lock"


@pytest.mark.parametrize("near", [None, "", "zz", "00" * 10])
def test_memory_that_could_not_be_read_leaves_the_owner_unknown(near: str | None) -> None:
    state, text = mutex(11, A, 12)
    (one,) = sight(parse(text), ThreadStates("i386:x86-64", (replace(state, near=near),))).waiting

    assert (one.wait.owner_lwp, one.wait.owner_state) == (None, OwnerState.UNKNOWN)


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
def test_whatever_is_reported_gives_a_conclusion(reported: list[ThreadState], samples: int) -> None:
    text = "".join(listing(lwp, *MUTEX_FRAMES, f"wait_{lwp}") for lwp in range(7))
    seen = sight(parse(text), ThreadStates("i386:x86-64", tuple(reported)))

    assert conclude([seen] * samples).summary


@given(st.dictionaries(st.integers(1, 8), st.integers(1, 8), max_size=8))
def test_a_deadlock_is_found_exactly_where_following_owners_comes_back(owners: dict[int, int]) -> None:
    conclusion = conclude([sighting(*(mutex(lwp, A + 64 * lwp, owner) for lwp, owner in owners.items()))])

    def comes_back(start: int) -> bool:
        lwp = owners.get(start)
        for _ in owners:
            if lwp == start:
                return True
            lwp = owners.get(lwp or 0)
        return False

    assert (conclusion.cycle is not None) == any(map(comes_back, owners))
