"""Threads with identical stacks are one group; the unusual ones come first."""

from astbtd.backtrace.parser import parse
from astbtd.html.thread_groups import group_threads


def thread(number: int, *functions: str) -> str:
    frames = "".join(
        f"#{level}  0x{number}{level} in {function} (arg={number}) at {function}.c:7\n"
        for level, function in enumerate(functions)
    )
    return f"Thread {number} (Thread 0x7f{number} (LWP {4000 + number})):\n{frames}\n"


WORKER = ("pthread_cond_wait", "worker_idle", "worker_start", "start_thread")
TEXT = (
    thread(3, *WORKER)
    + thread(2, *WORKER)
    + thread(1, "ast_bridge_join", "pbx_thread", "start_thread")
    + thread(4, "pthread_cond_wait", "other_idle", "start_thread")
)


def test_threads_with_the_same_stack_are_one_group_whatever_their_values() -> None:
    groups = group_threads(parse(TEXT).threads)

    assert [(group.title, group.where, group.inner) for group in groups] == [
        ("1 thread", "ast_bridge_join", ""),
        ("1 thread", "other_idle", "pthread_cond_wait"),
        ("2 threads", "worker_idle", "pthread_cond_wait"),
    ]
    assert groups[-1].threads == "3 (LWP 4003), 2 (LWP 4002)"


def test_a_group_lists_its_frames_without_values() -> None:
    groups = group_threads(parse(TEXT).threads)

    assert groups[0].lines == (
        "#0  ast_bridge_join  ast_bridge_join.c:7",
        "#1  pbx_thread  pbx_thread.c:7",
        "#2  start_thread  start_thread.c:7",
    )


def test_nameless_frames_in_different_objects_are_different() -> None:
    first = "Thread 1 (LWP 1):\n#0  0x1 in ?? () from /lib/a.so\n\n"
    second = "Thread 2 (LWP 2):\n#0  0x1 in ?? () from /lib/b.so\n\n"

    assert len(group_threads(parse(first + second).threads)) == 2


def test_the_number_of_groups_is_limited() -> None:
    text = "".join(thread(number, f"function_{number}") for number in range(1, 700))

    assert len(group_threads(parse(text).threads)) == 500
