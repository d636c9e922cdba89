"""Frames as gdb prints them, in every form."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.backtrace.parser import Frame, parse
from tests.support.backtraces import (
    BT_LOCATIONS,
    functions,
    locations,
    only_frame,
    only_thread,
)
from tests.support.transcripts import BT, SPEAK


def test_a_string_that_looks_like_frames_stays_an_argument(two_threads: str) -> None:
    speak = parse(two_threads).threads[0].frames[0]

    assert (speak.function, speak.file, speak.line, speak.address) == ("speak", "talk.c", 6, 0x564D55E261B1)
    assert speak.arguments.endswith("where=0x10, letter=34 '\"'")


def test_optimized_out_inside_a_string_does_not_count() -> None:
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
def test_frames_are_parsed_with_their_text(line: str, expected: Frame) -> None:
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


@pytest.mark.parametrize("width", range(20, len(SPEAK) + 2))
def test_frames_wrapped_by_a_terminal_at_any_width_are_joined(width: int) -> None:
    wrapped = "".join(
        f"{line[start : start + width]}\n" for line in BT.splitlines() for start in range(0, len(line), width)
    )

    assert locations(wrapped) == BT_LOCATIONS


def test_frames_wrapped_by_gdb_before_arguments_and_location_are_joined() -> None:
    text = '#6  0x1 in __ast_repl_malloc\n    (size=512,\n    file=0x2 "pool.c")\n    at astmm.c:1551\n#7  0x1 in load () at pool.c:1\n'

    assert locations(text) == [(6, "__ast_repl_malloc", "astmm.c", 1551), (7, "load", "pool.c", 1)]


def test_local_variables_are_not_joined_to_a_frame_that_is_cut_short() -> None:
    assert functions('#0  play (name=0x3 "cut>\n        res = 0\n#1  0x1 in main () at m.c:1\n') == ["play", "main"]
    assert functions('#0  play (name=0x3 "cut\n\tres = 0\n#1  0x1 in main () at m.c:1\n') == ["play", "main"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#3  0x01 in play () from /usr/lib/x.so.2", Frame(3, "", 1, "play", library="/usr/lib/x.so.2")),
        ("#3  0x01 in play () at /usr/lib/x.so.2", Frame(3, "", 1, "play", library="/usr/lib/x.so.2")),
        ("#3  0x01 play () at x.c:5", Frame(3, "", 1, "play", file="x.c", line=5)),
        ("#3  play () from libc.so.", Frame(3, "", None, "play", library="libc.so.")),
        ("#3  0x01 in play.constprop.0 (a=1) at x.c:5", Frame(3, "", 1, "play.constprop.0", "a=1", "x.c", 5)),
        ("#3  0x01 in nanosleep@GLIBC_2.2.5 ()", Frame(3, "", 1, "nanosleep@GLIBC_2.2.5")),
        ("#3  0x01 in pthread_cond_wait@@GLIBC_2.3.2 ()", Frame(3, "", 1, "pthread_cond_wait@@GLIBC_2.3.2")),
        ("#3  0x01 in non-virtual thunk to Talk::play() ()", Frame(3, "", 1, "non-virtual thunk to Talk::play()")),
        (
            "#3  0x01 in Talk::operator()(int) const (this=0x1) at x.cc:5",
            Frame(3, "", 1, "Talk::operator()(int) const", "this=0x1", "x.cc", 5),
        ),
        (
            "#3  0x01 in Talk::operator<< <char> (this=0x1) at x.cc:5",
            Frame(3, "", 1, "Talk::operator<< <char>", "this=0x1", "x.cc", 5),
        ),
        (
            "#3  0x01 in play(int)::{lambda(char)#1}::operator()(char) const () at x.cc:5",
            Frame(3, "", 1, "play(int)::{lambda(char)#1}::operator()(char) const", "", "x.cc", 5),
        ),
        (
            '#3  0x01 in (anonymous namespace)::play (f={a = 1, b = {c = "}"}}) at x.cc:5',
            Frame(3, "", 1, "(anonymous namespace)::play", 'f={a = 1, b = {c = "}"}}', "x.cc", 5),
        ),
        (
            "#3  0x01 in play (a=0x1 <error: Cannot access memory at address 0x1>, b=<optimized out>)",
            Frame(3, "", 1, "play", "a=0x1 <error: Cannot access memory at address 0x1>, b=<optimized out>"),
        ),
        ("#3  0x01 in ?? ()", Frame(3, "", 1)),
    ],
)
def test_frames_of_every_form_are_parsed(line: str, expected: Frame) -> None:
    (frame,) = only_thread(line).frames

    found = (frame.level, frame.address, frame.function, frame.arguments, frame.file, frame.line, frame.library)
    assert found == (
        expected.level,
        expected.address,
        expected.function,
        expected.arguments,
        expected.file,
        expected.line,
        expected.library,
    )


@pytest.mark.parametrize("gap", ["  ", "      ", " " * 22])
@pytest.mark.parametrize("arguments", ["(session=0x7f1122334455)", "(...)", "()"])
def test_locations_in_columns_are_parsed(gap: str, arguments: str) -> None:
    frame = only_frame(f"#0  pong {arguments}{gap}res_x.c:42\n")

    assert (frame.function, frame.file, frame.line) == ("pong", "res_x.c", 42)


def test_the_star_of_old_glibc_is_not_part_of_the_name() -> None:
    text = (
        "#0  0x00ebecb1 in *__GI_raise (sig=6) at ../nptl/raise.c:64\n#1  0x00ec218e in *__GI_abort () at abort.c:92\n"
    )

    assert functions(text) == ["__GI_raise", "__GI_abort"]


def test_an_empty_name_is_unknown() -> None:
    assert only_frame("#0  0x00007f1122334455 in  () at /lib/libx.so.1\n").function is None
