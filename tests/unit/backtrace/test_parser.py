"""The parser on whole texts: several commands, prompts, `core show locks`."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.backtrace.parser import Backtrace, parse
from tests.support.backtraces import (
    BT_LOCATIONS,
    functions,
    locations,
)
from tests.support.transcripts import BT, LOCKS


def test_lines_forged_in_the_command_line_do_not_replace_those_of_gdb(two_threads: str) -> None:
    forged = "\nProgram terminated with signal 9, Killed.\n[Current thread is 2 (LWP 1)]\n#0  0x1 in evil ()\n"

    backtrace = parse(two_threads.replace("./talk", forged))

    assert backtrace == parse(two_threads)


def test_answers_at_a_later_prompt_do_not_change_the_crashed_thread() -> None:
    asked = "[Current thread is 1 (LWP 1)]\n#0  0x1 in f ()\n(gdb) thread\n[Current thread is 3 (LWP 3)]\n(gdb) quit\n"

    assert [(thread.number, thread.crashed) for thread in parse(asked).threads] == [(1, True)]


def test_output_of_several_commands_gives_each_thread_once() -> None:
    full = "".join(f"{line}\nNo locals.\n" for line in BT.splitlines())
    threads = f"\nThread 2 (LWP 8):\n#0  0x1 in poll ()\n\nThread 1 (LWP 7):\n{BT}"

    backtrace = parse(f"[Current thread is 1 (LWP 7)]\n{BT}{full}{threads}{threads}")

    assert [(thread.number, thread.lwp, thread.frame_count, thread.crashed) for thread in backtrace.threads] == [
        (1, 7, 3, True),
        (2, 8, 1, False),
    ]


def test_a_prompt_before_a_frame_is_removed() -> None:
    assert locations(f"(gdb) bt\n(gdb) (gdb) {BT}(gdb) quit\n") == BT_LOCATIONS


def test_core_show_locks_gives_threads_with_their_locks() -> None:
    backtrace = parse(LOCKS)

    assert backtrace.debug_threads
    assert [(thread.lwp, [frame.function for frame in thread.frames]) for thread in backtrace.threads] == [
        (11, ["__ast_pthread_mutex_lock", "ast_bridge_join"]),
        (12, ["bridge_loop"]),
    ]
    assert [[lock.waiting for lock in thread.locks] for thread in backtrace.threads] == [[False, True], [False, True]]


def test_core_show_locks_and_gdb_output_of_one_thread_are_merged() -> None:
    backtrace = parse(f"{LOCKS}\nThread 1 (LWP 11):\n{BT}")

    assert [(thread.number, thread.lwp, len(thread.locks)) for thread in backtrace.threads] == [
        (1, 11, 2),
        (None, 12, 2),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#0  0x1 in thr_kill () from /lib/libc.so.7\n#1  0x2 in play ()\n", ["thr_kill", "play"]),
        (
            "#0  a_crash () at ./arch/x86_64/atomic_arch.h:108\n#1  get_meta (p=0x1) at src/malloc/mallocng/meta.h:141\n",
            ["a_crash", "get_meta"],
        ),
    ],
)
def test_frames_of_freebsd_and_musl_are_parsed(text: str, expected: list[str]) -> None:
    assert functions(text) == expected


def test_lines_that_look_like_frames_but_cannot_be_parsed_are_counted() -> None:
    backtrace = parse(f"{BT}#3\n#4 \nprose\n")

    assert (backtrace.unparsed_lines, backtrace.first_unparsed_line) == (2, "#3")


def test_empty_text_gives_an_empty_backtrace() -> None:
    assert parse("") == parse([]) == Backtrace()


def test_pieces_of_any_size_give_the_same_result() -> None:
    for size in (1, 7, 64):
        assert parse(LOCKS[start : start + size] for start in range(0, len(LOCKS), size)) == parse(LOCKS)
