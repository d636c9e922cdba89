"""No text raises an error, whatever is removed from it or inserted. Failures that hypothesis found are examples."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from astbtd.diagnosis.verdict import diagnose
from tests.support.transcripts import COREDUMPCTL, DOUBLE_FREE, LOCKS, OPTIMIZED, STRIPPED, TWO_THREADS, VALGRIND

TRANSCRIPTS = st.sampled_from([TWO_THREADS, DOUBLE_FREE, STRIPPED, OPTIMIZED, COREDUMPCTL, LOCKS, VALGRIND])
POSITIONS = st.integers(0, 6000)
LINES = st.sampled_from(
    [
        '#0  0x0000564d55e261b1 in speak (text=0x1 "a", letter=34 \'"\') at talk.c:6',
        "#1  <signal handler called>",
        "#2  0x01 in ?? () from /lib/libc.so.6",
        '#3  open_ended (text="',
        "    more=1) at x.c:3",
        "        local = <optimized out>",
        "0x01 in stopped () at s.c:1",
        "Thread 7 (Thread 0x7f83ff80c6c0 (LWP 31457)):",
        'Thread 7 "asterisk" received signal SIGSEGV, Segmentation fault.',
        "[Current thread is 7 (LWP 1)]",
        "[Switching to Thread 0x7f (LWP 9)]",
        "(gdb) bt",
        "> (gdb) #0  0x1 in f ()",
        "Backtrace stopped: previous frame inner to this frame (corrupt stack?)",
        "Program terminated with signal 11, Segmentation fault.",
        "FRACK!, Failed assertion x (0) at line 1 in f of f.c",
        "[x] ERROR[1]: Got 7 backtrace records",
        "# 0: [0x55] asterisk :0 f()",
        "=== Thread ID: 0x1 LWP:1 (a)",
        "=== ---> Waiting for Lock #0 (a.c): MUTEX 1 f &x 0x1 (1)",
        "==1==    at 0x1: f (a.c:1)",
        "==1==  Address 0x1 is 0 bytes inside",
        "Stack trace of thread 5:",
        "#0  0x1 f (asterisk + 0x1)",
        "```",
        "",
    ]
)


def check_diagnosis(text: str) -> None:
    diagnosis = diagnose(text)

    assert 0.0 <= diagnosis.quality <= 1.0
    assert diagnosis.reasons
    assert diagnosis.headline
    assert diagnosis == diagnose(text[start : start + 13] for start in range(0, len(text), 13))


@given(TRANSCRIPTS, POSITIONS, POSITIONS)
@example(LOCKS, 0, 700)
def test_a_text_cut_anywhere_never_raises(text: str, start: int, length: int) -> None:
    check_diagnosis(text[start : start + length])


@given(TRANSCRIPTS, TRANSCRIPTS, st.text(), POSITIONS, POSITIONS)
@example(TWO_THREADS, VALGRIND, '"', 310, 0)
def test_texts_inserted_into_each_other_never_raise(text: str, other: str, junk: str, start: int, length: int) -> None:
    check_diagnosis(text[:start] + junk + other[: length or None] + text[start:])


@given(TRANSCRIPTS, st.data())
def test_a_text_with_changed_characters_never_raises(text: str, data: st.DataObject) -> None:
    positions = st.integers(0, len(text) - 1)
    for position, character in data.draw(st.lists(st.tuples(positions, st.characters()), max_size=8)):
        text = text[:position] + character + text[position + 1 :]

    check_diagnosis(text)


@given(st.lists(st.one_of(LINES, st.text())))
@example(['#3  open_ended (text="', "#2  0x01 in ?? () from /lib/libc.so.6", "#0  0x1 f (asterisk + 0x1)"])
@example(["=== ---> Waiting for Lock #0 (a.c): MUTEX 1 f &x 0x1 (1)", "[Current thread is 7 (LWP 1)]"])
def test_lines_in_any_order_never_raise(lines: list[str]) -> None:
    check_diagnosis("\n".join(lines))


@given(st.text(alphabet="#0123 ()<>\"'\\=xin atfrom:`[]-+\n"))
@example('"')
@example(") at :1")
def test_text_that_looks_like_frames_never_raises(text: str) -> None:
    check_diagnosis("#0  " + text)


@pytest.mark.parametrize(
    "unit", ["(", "() ", '"', "\\", "'", " ", "a (", "> ", "`", "#0 ", "0x1 in a (", "[", "=", "-"]
)
def test_the_time_for_a_hostile_line_is_linear(unit: str) -> None:
    check_diagnosis("#0  f " + unit * (1 << 20))
    check_diagnosis(unit * (1 << 20))
