"""Threads: listings in several places are merged, and what is kept is bounded."""

from astbtd.backtrace.parser import parse
from tests.support.backtraces import (
    BT_LOCATIONS,
    locations,
)
from tests.support.transcripts import BT, MAIN, PLAY


def test_a_thread_listed_several_times_is_returned_once(two_threads: str) -> None:
    backtrace = parse(two_threads)

    assert [(thread.number, thread.lwp, len(thread.frames)) for thread in backtrace.threads] == [
        (1, 31457, 6),
        (2, 31455, 3),
    ]


def test_an_optimized_local_variable_in_one_listing_marks_the_frame(two_threads: str) -> None:
    marked = two_threads.replace("        copy = ", "        gone = <optimized out>\n        copy = ")

    assert [frame.optimized for frame in parse(marked).threads[0].frames][:2] == [True, False]


def test_frames_without_a_heading_belong_to_the_thread_with_the_same_frames() -> None:
    frames = "#0  0x1 in f () at f.c:1\n#1  0x2 in g () at g.c:1\n"

    backtrace = parse(f"{frames}\nThread 2 (LWP 2):\n#0  0x9 in h ()\n\nThread 1 (LWP 1):\n{frames}")

    assert [(thread.number, len(thread.frames)) for thread in backtrace.threads] == [(1, 2), (2, 1)]


def test_threads_beyond_the_limit_are_only_counted() -> None:
    text = "".join(f"Thread {number} (LWP {number}):\n#0  0x1 in f{number} ()\n" for number in range(12_000, 0, -1))

    backtrace = parse(f"[Current thread is 13000 (LWP 13000)]\n#0  0x2 in other ()\n{text}")

    assert len(backtrace.threads) + backtrace.threads_omitted == 12_001
    assert backtrace.threads_omitted > 0
    assert [thread.number for thread in backtrace.threads if thread.crashed] == [13_000]
    assert backtrace.threads[-1].number == 1


def test_threads_that_did_not_crash_are_shortened_if_there_are_many() -> None:
    frames = "".join(f"#{level}  0x1 in f (a=1) at f.c:1\n" for level in range(40))
    text = "".join(f"Thread {number} (LWP {number}):\n{frames}" for number in range(400, 0, -1))

    threads = parse(text).threads

    assert {thread.frame_count for thread in threads} == {40}
    assert (len(threads[-1].frames), threads[-1].number) == (40, 1)
    assert len(threads[-2].frames) < 40


def test_frames_printed_one_by_one_are_those_of_the_listing() -> None:
    assert locations(f"(gdb) bt\n{BT}(gdb) frame 1\n{PLAY}\n7\t  speak ();\n(gdb) up\n{MAIN}\n") == BT_LOCATIONS


def test_two_different_stacks_without_a_heading_are_two_threads() -> None:
    backtrace = parse(f"{BT}and then this one:\n#0  0x9 in other () at o.c:1\n")

    assert [thread.frames[0].function for thread in backtrace.threads] == ["speak", "other"]
