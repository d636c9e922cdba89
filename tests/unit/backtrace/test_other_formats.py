"""Frames and reports of programs other than gdb."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.backtrace.parser import parse
from tests.support.backtraces import (
    locations,
    only_thread,
)
from tests.support.transcripts import COREDUMPCTL, VALGRIND

LOG_PREFIX = "[2026-03-01 12:00:00.123] ERROR[1234][C-00000001]"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(
            [
                "# 0: [0x55d4aa] asterisk utils.c:2799 __ast_assert_failed()",
                "# 1: [0x55d4ab] asterisk :0 ast_hangup()",
                "# 2: app_dial.so <unknown>()",
                "#10: [0x7f83ff] libc.so.6 clone3.S:81 clone3()",
            ],
            [
                (0, "__ast_assert_failed", "utils.c", "asterisk"),
                (1, "ast_hangup", None, "asterisk"),
                (2, None, None, "app_dial.so"),
                (10, "clone3", "clone3.S", "libc.so.6"),
            ],
            id="better backtraces",
        ),
        pytest.param(
            ["#0: [0x5fcb65] asterisk __ast_assert_failed() (0x5fcce1+84)", "#1: [0x45cbc4] asterisk <unknown>()"],
            [(0, "__ast_assert_failed", None, "asterisk"), (1, None, None, "asterisk")],
            id="older better backtraces",
        ),
        pytest.param(
            ["# 0: /usr/sbin/asterisk(ast_hangup+0x35) [0x55d4aa]", "# 1: /usr/lib/app_dial.so(+0x23) [0x7f83]"],
            [(0, "ast_hangup", None, "/usr/sbin/asterisk"), (1, None, None, "/usr/lib/app_dial.so")],
            id="plain backtraces",
        ),
    ],
)
@pytest.mark.parametrize(
    "prefix",
    ["", f"{LOG_PREFIX} logger.c: ", f"{LOG_PREFIX}: ", "pbx | ", "INFO 2026-03-01T12:00:00.1Z [asterisk] ", "-- "],
)
def test_traces_printed_by_asterisk_are_parsed(
    lines: list[str], expected: list[tuple[int, str | None, str | None, str | None]], prefix: str
) -> None:
    text = f"{LOG_PREFIX} channel.c: FRACK!, Failed assertion bad magic number 0x0 for object 0x55d4 (0)\n{LOG_PREFIX}: Got 2 backtrace records\n"

    thread = only_thread(text + "".join(f"{prefix}{line}\n" for line in lines))

    assert [(frame.level, frame.function, frame.file, frame.library) for frame in thread.frames] == expected
    assert thread.assertion_function == ""


def test_stacks_of_coredumpctl_are_parsed() -> None:
    backtrace = parse(COREDUMPCTL)

    assert backtrace.signal == "SIGSEGV"
    assert [(thread.lwp, [frame.function for frame in thread.frames]) for thread in backtrace.threads] == [
        (31460, ["__strlen_avx2", None, "ast_hangup"]),
        (31457, ["__poll"]),
    ]
    assert [frame.library for frame in backtrace.threads[0].frames] == ["libc.so.6", "app_dial.so", "asterisk"]


def test_frames_of_coredumpctl_copied_by_hand_are_parsed() -> None:
    frames = only_thread("#0 __ao2_ref (asterisk + 0x70ee1)\n\n#1 app_dial.so + 0x2749b\n").frames

    assert [(frame.function, frame.library) for frame in frames] == [("__ao2_ref", "asterisk"), (None, "app_dial.so")]


def test_frames_of_eu_stack_are_parsed() -> None:
    text = "PID 7 - process\nTID 8:\n#0  0x00007f840011a8ec      __poll - /usr/lib/libc.so.6\n#1  0x0000564d55e261b1 - 1  monitor\n#2  0x0000564d55e261b0\n"

    thread = only_thread(text)

    assert thread.lwp == 8
    assert [(frame.function, frame.library) for frame in thread.frames] == [
        ("__poll", "/usr/lib/libc.so.6"),
        ("monitor", None),
        (None, None),
    ]


def test_a_report_of_valgrind_is_parsed_without_stacks_of_earlier_events() -> None:
    thread = only_thread(VALGRIND)

    assert thread.number == 10
    assert [(frame.level, frame.function, frame.line) for frame in thread.frames] == [
        (0, "free", None),
        (1, "ast_free_ptr", 80),
        (2, "moh_class_destructor", 15),
    ]


def test_the_stack_in_which_valgrind_saw_the_process_end_is_the_crash() -> None:
    end = VALGRIND + (
        "==15719== Process terminating with default action of signal 6 (SIGABRT): dumping core\n"
        "==15719==    at 0x55DD991: raise (raise.c:51)\n==15719==    by 0x10A514: give_up (asterisk.c:9)\n"
    )

    backtrace = parse(end)

    assert backtrace.signal == "SIGABRT"
    assert [thread.frames[0].function for thread in backtrace.threads if thread.crashed] == ["raise"]


def test_a_report_of_a_sanitizer_is_parsed_without_stacks_of_earlier_events() -> None:
    text = """\
==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x602 at pc 0x55 bp 0x7f sp 0x7f
READ of size 8 at 0x602 thread T5
    #0 0x55d4aa in ast_channel_name main/channel_internal_api.c:478:9
    #1 0x55d4ab in hangup(int) (/usr/lib/asterisk/modules/app_dial.so+0x1234) (BuildId: abcd)

freed by thread T5 here:
    #0 0x7f in __interceptor_free ../../src/libsanitizer/asan/asan_malloc_linux.cpp:52
    #1 0x55 in earlier main/channel.c:2000
    #2 0x56 in much_earlier main/channel.c:2001
"""

    backtrace = parse(text)

    assert backtrace.report is not None
    assert (backtrace.report.tool, backtrace.access) == ("AddressSanitizer", "read")
    assert backtrace.freed is not None
    assert [frame.function for frame in backtrace.freed.frames] == ["__interceptor_free", "earlier", "much_earlier"]
    assert backtrace.freed.by_thread == "T5"
    assert locations(text) == [
        (0, "ast_channel_name", "main/channel_internal_api.c", 478),
        (1, "hangup(int)", None, None),
    ]


def test_frames_of_lldb_are_parsed() -> None:
    text = """\
* thread #1, name = 'asterisk', stop reason = signal SIGABRT
  * frame #0: 0x0000000801a1 libc.so.7`__sys_thr_kill at thr_kill.S:4
    frame #1: 0x000000080112 libc.so.7`raise(s=6) at raise.c:52:10 [opt]
    frame #2: 0x000000041b58 asterisk`ast_hangup(chan=0x10) at channel.c:2495:3
    frame #3: 0x000000041c58 asterisk`___lldb_unnamed_symbol7 + 42
"""

    thread = only_thread(text)

    assert (thread.number, thread.crashed) == (1, True)
    assert [(frame.function, frame.line) for frame in thread.frames] == [
        ("__sys_thr_kill", 4),
        ("raise", 52),
        ("ast_hangup", 2495),
        ("___lldb_unnamed_symbol7", None),
    ]


def test_crash_reports_of_macos_are_parsed() -> None:
    text = """\
Exception Type:        EXC_CRASH (SIGABRT)

Thread 0:: Dispatch queue: com.apple.main-thread
0   libsystem_kernel.dylib        \t0x00007fff9240767a mach_msg_trap + 10

Thread 3 Crashed:: worker
0   libsystem_kernel.dylib        \t0x00007fff88a56f06 __pthread_kill + 10
1   libsystem_c.dylib             \t0x00007fff931e1234 abort + 129
2   libsystem_c.dylib                    0x000000018c08cd30 __assert_rtn + 280
3   libphone.0.dylib                     0x0000000103ff5f74 get_port (sock_common.c:367)
4   My Phone                             0x5618 talk + 13 (talk.m:13)
"""

    backtrace = parse(text)

    assert backtrace.signal == "SIGABRT"
    (crashed,) = (thread for thread in backtrace.threads if thread.crashed)
    assert [(frame.level, frame.function, frame.file, frame.line) for frame in crashed.frames] == [
        (0, "__pthread_kill", None, None),
        (1, "abort", None, None),
        (2, "__assert_rtn", None, None),
        (3, "get_port", "sock_common.c", 367),
        (4, "talk", "talk.m", 13),
    ]
    assert len(backtrace.threads) == 2


def test_frames_of_android_are_parsed() -> None:
    text = """\
03-01 12:00:00.123  1234  5678 F DEBUG   : signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10
03-01 12:00:00.123  1234  5678 F DEBUG   :       #00 pc 00000000000220ac  /system/lib64/libc.so (abort+116)
03-01 12:00:00.123  1234  5678 F DEBUG   :       #01 pc 00000000000449634  /data/lib/libpjsua2.so (pj::Endpoint::stop(unsigned int, char*)+88) (BuildId: 79421dc2)
03-01 12:00:00.123  1234  5678 F DEBUG   :       #02 pc 0000000000680b3c  /data/lib/libpjsua2.so (BuildId: 79421dc2)
""".replace("00000000000449634", "0000000000449634")

    backtrace = parse(text)

    assert backtrace.signal == "SIGSEGV"
    assert [frame.function for frame in only_thread(text).frames] == [
        "abort",
        "pj::Endpoint::stop(unsigned int, char*)",
        None,
    ]


def test_frames_of_thread_sanitizer_are_parsed() -> None:
    frames = only_thread(
        "    #0 memset <null> (libtsan.so.0+0x1)\n    #1 speak(int) /src/t.c:42:3 (asterisk+0x2)\n"
    ).frames

    assert [(frame.function, frame.line) for frame in frames] == [("memset", None), ("speak(int)", 42)]


@pytest.mark.parametrize("prefix", ["", "error.log.1:", "[2026-03-01 12:00:00] ERROR[4]: logger.c: "])
def test_frames_in_the_form_of_asterisk_were_printed_by_an_assertion(prefix: str) -> None:
    lines = ["# 1: /usr/sbin/asterisk(attach+0x40) [0x5648]", "# 2: /usr/sbin/asterisk(set_volume+0x21b) [0x5649]"]

    thread = only_thread("".join(f"{prefix}{line}\n" for line in lines))

    assert thread.assertion_function == ""
    assert [frame.function for frame in thread.frames] == ["attach", "set_volume"]
