"""Frames of one stack."""

from astbtd.backtrace.parser import parse
from tests.support.backtraces import (
    only_thread,
)


def test_of_a_very_long_stack_the_innermost_frames_are_kept_and_all_are_counted() -> None:
    (thread,) = parse("".join(f"#{level}  0x1 in f ()\n" for level in range(5000))).threads

    assert (len(thread.frames), thread.frame_count, thread.frames[-1].level) == (1000, 5000, 999)


def test_frames_without_numbers_are_one_stack() -> None:
    text = "0x1 in raise () from /lib64/libc.so.6\n0x2 in abort () from /lib64/libc.so.6\n0x3 in play ()\n"

    assert [(frame.level, frame.function) for frame in only_thread(text).frames] == [
        (0, "raise"),
        (1, "abort"),
        (2, "play"),
    ]


def test_frames_missing_in_the_middle_do_not_end_the_stack() -> None:
    assert [frame.level for frame in only_thread("#4  0x1 in f ()\n...\n#7  0x2 in g ()\n").frames] == [4, 7]
