"""Lines around a backtrace: headings of threads, signals, assertions."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.backtrace.parser import parse
from tests.support.backtraces import (
    only_thread,
)
from tests.support.transcripts import BT


def test_the_header_gives_the_signal_and_the_crashed_thread(two_threads: str) -> None:
    backtrace = parse(two_threads)

    assert (backtrace.signal, [thread.crashed for thread in backtrace.threads]) == ("SIGSEGV", [True, False])


def test_frames_after_switching_to_a_thread_belong_to_it() -> None:
    backtrace = parse("[Switching to thread 3 (LWP 9)]\n#0  0x1 in f ()\n")

    assert [thread.number for thread in backtrace.threads] == [3]


def test_the_reason_why_unwinding_stopped_is_kept() -> None:
    (thread,) = parse(
        "#0  0x1 in f ()\nBacktrace stopped: previous frame identical to this frame (corrupt stack?)\n"
    ).threads

    assert thread.unwind_error == "previous frame identical to this frame (corrupt stack?)"


def test_the_thread_in_which_the_program_stopped_is_the_crashed_one() -> None:
    text = 'Thread 65 "asterisk" received signal SIGSEGV, Segmentation fault.\n[Switching to Thread 0x7f (LWP 12)]\n0x00007fff in play (depth=1,\n    more=2) at talk.c:7\n7\t  return play (depth);\n'

    backtrace = parse(text)

    assert backtrace.signal == "SIGSEGV"
    assert [(thread.number, thread.crashed) for thread in backtrace.threads] == [(65, True)]
    assert backtrace.threads[0].frames[0].line == 7


@pytest.mark.parametrize(
    ("heading", "number", "lwp"),
    [
        ("Thread 3 (Thread 0x7f83ff80c6c0 (LWP 31457)):", 3, 31457),
        ('Thread 3 (Thread 0x7f83ff80c6c0 (LWP 31457) "asterisk"):', 3, 31457),
        ("Thread 3 (Thread 0x7f83ff80c6c0 (LWP 31457) (Exiting)):", 3, 31457),
        ("Thread 1.3 (LWP 31457):", 3, 31457),
        ("Thread 3 (process 26252):", 3, 26252),
        ("Thread 3 (Thread 32702):", 3, None),
        ("Thread 3 (LWP 100123 of process 99):", 3, 100123),
        ("Stack trace of thread 31457:", None, 31457),
        ("TID 31457:", None, 31457),
        ("  thread #3, name = 'asterisk'", 3, None),
        ("==77== Thread 3:", 3, None),
        ("==77== Thread 3 tps:", 3, None),
    ],
)
def test_headings_of_threads_are_parsed(heading: str, number: int | None, lwp: int | None) -> None:
    thread = only_thread(f"{heading}\n{BT}")

    assert (thread.number, thread.lwp, len(thread.frames)) == (number, lwp, 3)


@pytest.mark.parametrize(
    "line",
    [
        "Program terminated with signal SIGSEGV, Segmentation fault.",
        "Program terminated with signal 11, Segmentation fault.",
        "Program received signal SIGSEGV, Segmentation fault.",
        'Thread 9 "asterisk" received signal SIGSEGV, Segmentation fault.',
        "$1 = {si_signo = 11, si_errno = 0, si_code = 1}",
        "        Signal: 11 (SEGV)",
        "==77== Process terminating with default action of signal 11 (SIGSEGV): dumping core",
        "* thread #1, name = 'asterisk', stop reason = signal SIGSEGV: invalid address (fault address: 0x10)",
        "kernel: [ 42.1] asterisk[7]: segfault at 10 ip 00007f83 sp 00007f84 error 4 in libc.so.6[7f83+1000]",
    ],
)
def test_the_signal_is_parsed(line: str) -> None:
    assert parse(f"{line}\n{BT}").signal == "SIGSEGV"


LOG_PREFIX = "[2026-03-01 12:00:00.123] ERROR[1234][C-00000001]"


@pytest.mark.parametrize(
    "message",
    [
        f"{LOG_PREFIX}: channel.c:2495 ast_hangup: FRACK!, Failed assertion bad magic number 0x0 for object 0x55d4 (0)",
        "FRACK!, Failed assertion bad magic number 0x0 for object 0x55d4 (0) at line 2495 in ast_hangup of channel.c",
    ],
)
def test_the_log_names_the_function_whose_assertion_failed(message: str) -> None:
    trace = f"{LOG_PREFIX}: Got 1 backtrace records\n# 0: asterisk __ao2_ref()\n"

    assert only_thread(f"{message}\n{trace}").assertion_function == "ast_hangup"
    assert parse(message).assertion_function == "ast_hangup"


def test_the_selected_thread_of_info_threads_is_the_crashed_one() -> None:
    text = f'(gdb) info threads\n  Id   Target Id         Frame\n* 1    Thread 0x7f (LWP 7) "asterisk" 0x1 in f ()\n  2    Thread 0x7e (LWP 8) 0x2 in g ()\n(gdb) bt\n{BT}'

    assert [(thread.number, thread.crashed) for thread in parse(text).threads] == [(1, True)]
