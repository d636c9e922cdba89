"""Threads: listings in several places are merged, and what is kept is bounded."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

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


HEADER = "Program terminated with signal SIGSEGV, Segmentation fault.\n"
HANGUP = "#0  0x00007f1122334455 in hangup (chan=0x0) at h.c:42"
BRIDGE = "#1  0x0000000000522222 in bridge (b=0x2000) at b.c:7"
RUN = "#2  0x0000000000533333 in run (data=0x2000) at r.c:10"


@pytest.mark.parametrize(
    "text",
    [
        # the header's frame, with and without address, and with and without the name of the function
        f"{HEADER}#0  hangup (chan=0x0) at h.c:42\n42\t\tchan->tech = NULL;\n(gdb) bt\n{HANGUP}\n{BRIDGE}\n{RUN}\n",
        f"{HEADER}{HANGUP}\n(gdb) bt full\n{HANGUP}\n        i = 1\n{BRIDGE}\nNo locals.\n{RUN}\n",
        f"{HEADER}#0  0x00007f1122334455 in ?? ()\n(gdb) symbol-file x\n(gdb) bt\n{HANGUP}\n{BRIDGE}\n{RUN}\n",
        f"{HEADER}#0  hangup (chan=0x0) at h.c:42\n\nThread 1 (LWP 7):\n{HANGUP}\n{BRIDGE}\n{RUN}\n",
        # `frame` before and after `bt`
        f"(gdb) frame\n{HANGUP}\n(gdb) bt\n{HANGUP}\n{BRIDGE}\n{RUN}\n",
        f"(gdb) bt\n{HANGUP}\n{BRIDGE}\n{RUN}\n(gdb) frame 2\n{RUN}\n(gdb) down\n{BRIDGE}\n",
        # single frames in any order
        f"(gdb) frame 2\n{RUN}\n10\t  x;\n(gdb) frame 0\n{HANGUP}\n42\t  y;\n(gdb) frame 1\n{BRIDGE}\n",
        f"(gdb) frame 1\n{BRIDGE}\n(gdb) bt\n{HANGUP}\n{BRIDGE}\n{RUN}\n",
        f"(gdb) thread 3\n[Switching to thread 3 (LWP 9)]\n{BRIDGE}\n(gdb) frame 0\n{HANGUP}\n(gdb) frame 2\n{RUN}\n",
        # two builds: without symbols first
        f"#0  0x00007f1122334455 in ?? ()\n#1  0x0000000000522222 in ?? ()\n#2  0x0000000000533333 in ?? ()\n(gdb) bt\n{HANGUP}\n{BRIDGE}\n{RUN}\n",
    ],
)  # fmt: skip
def test_one_stack_printed_in_pieces_is_one_thread(text: str) -> None:
    assert locations(text) == [(0, "hangup", "h.c", 42), (1, "bridge", "b.c", 7), (2, "run", "r.c", 10)]


def test_a_single_frame_of_another_function_is_another_thread() -> None:
    backtrace = parse(f"#0  0x9 in other () at o.c:1\n(gdb) thread 2\n(gdb) bt\n{HANGUP}\n{BRIDGE}\n")

    assert [thread.frame_count for thread in backtrace.threads] == [1, 2]


def test_frames_of_two_threads_in_the_log_have_their_own_assertion() -> None:
    def message(thread: int, function: str) -> str:
        return (
            f"[2026-03-01 12:00:00] ERROR[{thread}]: x.c:42 {function}: FRACK!, Failed assertion bad magic number (0)\n"
        )

    text = (
        f"{message(4242, 'stop')}[2026-03-01 12:00:00] ERROR[4242]: Got 3 backtrace records\n"
        f"# 0: [0x55d0aa11bb31] asterisk astobj2.c:200 __ao2_lock()\n{message(4343, 'other')}"
        "# 1: [0x7f1122aabb41] res_x.so x.c:42 stop()\n# 2: [0x55d0aa11bb61] asterisk utils.c:1600 dummy_start()\n"
        "[2026-03-01 12:00:00] ERROR[4343]: Got 1 backtrace records\n"
        "# 0: [0x55d0aa11bb99] asterisk astobj2.c:200 __ao2_ref()\n"
    )

    assert [(thread.frame_count, thread.assertion_function) for thread in parse(text).threads] == [
        (3, "stop"),
        (1, "other"),
    ]
