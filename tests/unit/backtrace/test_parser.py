"""The parser: every form that gdb prints, and what is not gdb's."""

import pytest

from astbtd.backtrace.parser import Frame, parse


def only_frame(text: str) -> Frame:
    (thread,) = parse(text).threads
    (frame,) = thread.frames
    return frame


def test_a_thread_listed_several_times_counts_once(two_threads: str) -> None:
    backtrace = parse(two_threads)

    assert [(thread.number, thread.lwp, len(thread.frames)) for thread in backtrace.threads] == [
        (1, 31457, 6),
        (2, 31455, 3),
    ]


def test_the_header_says_the_signal_and_the_current_thread(two_threads: str) -> None:
    backtrace = parse(two_threads)

    assert (backtrace.signal, [thread.crashed for thread in backtrace.threads]) == ("SIGSEGV", [True, False])


def test_a_string_that_looks_like_frames_stays_an_argument(two_threads: str) -> None:
    speak = parse(two_threads).threads[0].frames[0]

    assert (speak.function, speak.file, speak.line, speak.address) == ("speak", "talk.c", 6, 0x564D55E261B1)
    assert speak.arguments.endswith("where=0x10, letter=34 '\"'")


def test_an_optimized_local_marks_its_frame_even_where_bt_alone_has_none(two_threads: str) -> None:
    marked = two_threads.replace("        copy = ", "        gone = <optimized out>\n        copy = ")

    assert [frame.optimized for frame in parse(marked).threads[0].frames][:2] == [True, False]


def test_optimized_out_inside_a_string_is_memory() -> None:
    frame = only_frame('#0  f (text=0x1 "<optimized out>") at f.c:1\n        s = "<optimized out>"\n')

    assert not frame.optimized


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#0 0x29b4aa6e in ?? ()", Frame(0, "", 0x29B4AA6E)),
        ("#3  0x01 in play () from /usr/lib/x.so.2", Frame(3, "", 1, "play", library="/usr/lib/x.so.2")),
        ("#3  play (a=1) at x.c:5", Frame(3, "", None, "play", "a=1", "x.c", 5)),
        ("#3  play (a=1) at dir (old)/x.c:5", Frame(3, "", None, "play", "a=1", "dir (old)/x.c", 5)),
        ("#3  play at x.c:5", Frame(3, "", None, "play", "", "x.c", 5)),
        ("#3  play", Frame(3, "", None, "play")),
        ("#4  <signal handler called>", Frame(4, "", signal_handler=True)),
        ("#5  play (c=40 '(', d=39 '\\'') at x.c:5", Frame(5, "", None, "play", "c=40 '(', d=39 '\\''", "x.c", 5)),
        (
            "#6  0x2 in std::function<int (long)>::operator()(long) const (n=1) at f.h:9",
            Frame(6, "", 2, "std::function<int (long)>::operator()(long) const", "n=1", "f.h", 9),
        ),
        (
            "#7  (anonymous namespace)::Channel::operator()<long> (this=0x7f) at c.cc:3",
            Frame(7, "", None, "(anonymous namespace)::Channel::operator()<long>", "this=0x7f", "c.cc", 3),
        ),
        (
            "#8  play (a=<value optimized out>) at x.c:5",
            Frame(8, "", None, "play", "a=<value optimized out>", "x.c", 5),
        ),
    ],
)
def test_a_frame_is_read(line: str, expected: Frame) -> None:
    frame = only_frame(line)

    assert frame.text == line
    assert (frame.level, frame.address, frame.function) == (expected.level, expected.address, expected.function)
    assert (frame.arguments, frame.file, frame.line) == (expected.arguments, expected.file, expected.line)
    assert (frame.library, frame.signal_handler) == (expected.library, expected.signal_handler)
    assert frame.optimized == ("optimized" in line)


@pytest.mark.parametrize(
    "wrapped",
    [
        '#1  0x02 in play (name=0x3 "a (b",\n    many=4)\n    at play.c:7\n',
        '#1  0x02 in play (name=0x3 "a (b",\n many=4) at play.c:7\n',
        '#1  0x02 in play (name=0x3 "a\n (b", many=4) at play.c:7\n',
        '#1  0x02 in play (name=0x3 "a (b", many=4) at pla\ny.c:7\n',
    ],
)
def test_wrapped_lines_are_one_frame(wrapped: str) -> None:
    frame = only_frame(wrapped + "        local = 1\n")

    assert (frame.function, frame.arguments, frame.file, frame.line) == (
        "play",
        'name=0x3 "a (b", many=4',
        "play.c",
        7,
    )


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_newline_starts_a_frame(separator: str) -> None:
    frame = only_frame(f'#0  play (text=0x1 "{separator}#0  0x1 in evil () at e.c:1") at p.c:1\n')

    assert frame.function == "play"


def test_frames_without_a_number_belong_to_the_thread_that_looks_the_same() -> None:
    frames = "#0  0x1 in f () at f.c:1\n#1  0x2 in g () at g.c:1\n"

    backtrace = parse(f"{frames}\nThread 2 (LWP 2):\n#0  0x9 in h ()\n\nThread 1 (LWP 1):\n{frames}")

    assert [(thread.number, len(thread.frames)) for thread in backtrace.threads] == [(1, 2), (2, 1)]


def test_frames_after_switching_to_a_thread_are_that_threads() -> None:
    backtrace = parse("[Switching to thread 3 (LWP 9)]\n#0  0x1 in f ()\n")

    assert [thread.number for thread in backtrace.threads] == [3]


def test_why_the_stack_ends_is_kept() -> None:
    (thread,) = parse(
        "#0  0x1 in f ()\nBacktrace stopped: previous frame identical to this frame (corrupt stack?)\n"
    ).threads

    assert thread.stopped == "previous frame identical to this frame (corrupt stack?)"


def test_lines_forged_in_the_command_line_lose_against_gdbs_own(two_threads: str) -> None:
    forged = "\nProgram terminated with signal 9, Killed.\n[Current thread is 2 (LWP 1)]\n#0  0x1 in evil ()\n"

    backtrace = parse(two_threads.replace("./talk", forged))

    assert backtrace == parse(two_threads)


def test_what_is_asked_at_a_prompt_later_changes_no_thread() -> None:
    asked = "[Current thread is 1 (LWP 1)]\n#0  0x1 in f ()\n(gdb) thread\n[Current thread is 3 (LWP 3)]\n(gdb) quit\n"

    assert [(thread.number, thread.crashed) for thread in parse(asked).threads] == [(1, True)]


def test_of_very_many_threads_some_are_only_counted() -> None:
    text = "".join(f"Thread {number} (LWP {number}):\n#0  0x1 in f{number} ()\n" for number in range(12_000, 0, -1))

    backtrace = parse(f"[Current thread is 13000 (LWP 13000)]\n#0  0x2 in other ()\n{text}")

    assert len(backtrace.threads) + backtrace.threads_left_out == 12_001
    assert backtrace.threads_left_out > 0
    assert [thread.number for thread in backtrace.threads if thread.crashed] == [13_000]
    assert backtrace.threads[-1].number == 1


def test_of_a_very_long_stack_the_innermost_frames_are_kept_and_all_are_counted() -> None:
    (thread,) = parse("".join(f"#{level}  0x1 in f ()\n" for level in range(5000))).threads

    assert (len(thread.frames), thread.count, thread.frames[-1].level) == (1000, 5000, 999)


def test_threads_that_did_not_crash_are_shortened_where_there_are_many() -> None:
    frames = "".join(f"#{level}  0x1 in f (a=1) at f.c:1\n" for level in range(40))
    text = "".join(f"Thread {number} (LWP {number}):\n{frames}" for number in range(400, 0, -1))

    threads = parse(text).threads

    assert {thread.count for thread in threads} == {40}
    assert (len(threads[-1].frames), threads[-1].number) == (40, 1)
    assert len(threads[-2].frames) < 40
