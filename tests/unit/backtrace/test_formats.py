"""The parser on every form in which people hand in a backtrace; the texts are of this project's own programs."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.backtrace.parser import Backtrace, Frame, Thread, parse

SPEAK = '#0  0x0000564d55e261b1 in speak (text=0x564d55e27008 "a \\") at x.c:1\\n#0  0x1 in evil (", letter=34 \'"\') at talk.c:6'
PLAY = "#1  0x0000564d55e261f8 in play (depth=0) at talk.c:7"
MAIN = "#2  main (n=1, v=0x7ffdb8dc01a8) at talk.c:9"
BT = f"{SPEAK}\n{PLAY}\n{MAIN}\n"


def only(text: str) -> Thread:
    (thread,) = parse(text).threads
    return thread


def functions(text: str) -> list[str | None]:
    return [frame.function for frame in only(text).frames]


def places(text: str) -> list[tuple[int, str | None, str | None, int | None]]:
    return [(frame.level, frame.function, frame.file, frame.line) for frame in only(text).frames]


def indented(text: str, margin: str) -> str:
    return "".join(f"{margin}{line}\n" for line in text.splitlines())


WHOLE = places(BT)


def test_several_commands_one_after_another_are_one_listing_of_each_thread() -> None:
    full = "".join(f"{line}\nNo locals.\n" for line in BT.splitlines())
    threads = f"\nThread 2 (LWP 8):\n#0  0x1 in poll ()\n\nThread 1 (LWP 7):\n{BT}"

    backtrace = parse(f"[Current thread is 1 (LWP 7)]\n{BT}{full}{threads}{threads}")

    assert [(thread.number, thread.lwp, thread.count, thread.crashed) for thread in backtrace.threads] == [
        (1, 7, 3, True),
        (2, 8, 1, False),
    ]


@pytest.mark.parametrize(
    "margin",
    ["> ", ">", "> > ", ">> ", "    ", "\t", "                ", "(gdb) "],
)
def test_quoted_or_indented_frames_are_read(margin: str) -> None:
    assert places(indented(BT, margin)) == WHOLE


@pytest.mark.parametrize("fence", ["```", "```text", "~~~"])
def test_fences_are_passed_over(fence: str) -> None:
    assert places(f"I see this:\n{fence}\n{BT}{fence}\nHelp.\n") == WHOLE


def test_a_fence_on_the_frames_own_line_is_taken_off() -> None:
    assert places(f"```{BT.strip()}```") == WHOLE
    assert places(f"`{BT.strip()}`\n") == WHOLE


def test_what_a_tracker_made_of_angle_brackets_is_undone() -> None:
    text = "#0  &lt;signal handler called&gt;\n#1  0x1 in play (a=&lt;optimized out&gt;) at talk.c:7\n"

    frames = only(text).frames

    assert (frames[0].signal_handler, frames[1].optimized) == (True, True)


def test_windows_line_ends_and_tabs_change_nothing() -> None:
    assert places(BT.replace("\n", "\r\n")) == WHOLE
    assert places(BT.replace("  0x", "\t0x")) == WHOLE


def test_a_prompt_may_stand_before_a_frame() -> None:
    assert places(f"(gdb) bt\n(gdb) (gdb) {BT}(gdb) quit\n") == WHOLE


@pytest.mark.parametrize(
    "pager",
    [
        "--Type <RET> for more, q to quit, c to continue without paging--",
        "---Type <return> to continue, or q <return> to quit---",
    ],
)
def test_a_pager_may_speak_anywhere(pager: str) -> None:
    assert places(f"{SPEAK}\n{pager}{PLAY}\n{pager}\n{MAIN}\n") == WHOLE


@pytest.mark.parametrize("width", range(20, len(SPEAK) + 2))
def test_a_terminal_may_wrap_anywhere(width: int) -> None:
    wrapped = "".join(
        f"{line[start : start + width]}\n" for line in BT.splitlines() for start in range(0, len(line), width)
    )

    assert places(wrapped) == WHOLE


def test_gdb_may_wrap_before_the_arguments_and_before_the_place() -> None:
    text = '#6  0x1 in __ast_repl_malloc\n    (size=512,\n    file=0x2 "pool.c")\n    at astmm.c:1551\n#7  0x1 in load () at pool.c:1\n'

    assert places(text) == [(6, "__ast_repl_malloc", "astmm.c", 1551), (7, "load", "pool.c", 1)]


def test_locals_are_no_part_of_a_frame_that_was_cut() -> None:
    assert functions('#0  play (name=0x3 "cut>\n        res = 0\n#1  0x1 in main () at m.c:1\n') == ["play", "main"]
    assert functions('#0  play (name=0x3 "cut\n\tres = 0\n#1  0x1 in main () at m.c:1\n') == ["play", "main"]


def test_the_frame_where_the_program_stopped_has_no_number() -> None:
    text = 'Thread 65 "asterisk" received signal SIGSEGV, Segmentation fault.\n[Switching to Thread 0x7f (LWP 12)]\n0x00007fff in play (depth=1,\n    more=2) at talk.c:7\n7\t  return play (depth);\n'

    backtrace = parse(text)

    assert backtrace.signal == "SIGSEGV"
    assert [(thread.number, thread.crashed) for thread in backtrace.threads] == [(65, True)]
    assert backtrace.threads[0].frames[0].line == 7


def test_frames_whose_numbers_were_taken_off_are_one_stack() -> None:
    text = "0x1 in raise () from /lib64/libc.so.6\n0x2 in abort () from /lib64/libc.so.6\n0x3 in play ()\n"

    assert [(frame.level, frame.function) for frame in only(text).frames] == [(0, "raise"), (1, "abort"), (2, "play")]


def test_frames_shown_one_by_one_are_those_of_the_listing() -> None:
    assert places(f"(gdb) bt\n{BT}(gdb) frame 1\n{PLAY}\n7\t  speak ();\n(gdb) up\n{MAIN}\n") == WHOLE


def test_two_different_stacks_without_a_heading_are_two_threads() -> None:
    backtrace = parse(f"{BT}and then this one:\n#0  0x9 in other () at o.c:1\n")

    assert [thread.frames[0].function for thread in backtrace.threads] == ["speak", "other"]


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
def test_the_headings_of_threads_are_read(heading: str, number: int | None, lwp: int | None) -> None:
    thread = only(f"{heading}\n{BT}")

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
def test_the_signal_is_read(line: str) -> None:
    assert parse(f"{line}\n{BT}").signal == "SIGSEGV"


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
def test_frames_of_every_kind(line: str, expected: Frame) -> None:
    (frame,) = only(line).frames

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


LOG = "[2026-03-01 12:00:00.123] ERROR[1234][C-00000001]"


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
    "prefix", ["", f"{LOG} logger.c: ", f"{LOG}: ", "pbx | ", "INFO 2026-03-01T12:00:00.1Z [asterisk] ", "-- "]
)
def test_asterisks_own_traces_are_read(
    lines: list[str], expected: list[tuple[int, str | None, str | None, str | None]], prefix: str
) -> None:
    text = f"{LOG} channel.c: FRACK!, Failed assertion bad magic number 0x0 for object 0x55d4 (0)\n{LOG}: Got 2 backtrace records\n"

    thread = only(text + "".join(f"{prefix}{line}\n" for line in lines))

    assert [(frame.level, frame.function, frame.file, frame.library) for frame in thread.frames] == expected
    assert thread.asserted == ""


@pytest.mark.parametrize(
    "message",
    [
        f"{LOG}: channel.c:2495 ast_hangup: FRACK!, Failed assertion bad magic number 0x0 for object 0x55d4 (0)",
        "FRACK!, Failed assertion bad magic number 0x0 for object 0x55d4 (0) at line 2495 in ast_hangup of channel.c",
    ],
)
def test_the_log_tells_whose_assertion_failed(message: str) -> None:
    assert only(f"{message}\n{LOG}: Got 1 backtrace records\n# 0: asterisk __ao2_ref()\n").asserted == "ast_hangup"
    assert parse(message).asserted == "ast_hangup"


COREDUMPCTL = """\
           PID: 31457 (asterisk)
        Signal: 11 (SEGV)
       Message: Process 31457 (asterisk) of user 110 dumped core.

                Stack trace of thread 31460:
                #0  0x00007f840009a1f5 __strlen_avx2 (libc.so.6 + 0x8a1f5)
                #1  0x00007f84000aa1f5 n/a (app_dial.so + 0x1234)
                #2  0x0000564d55e261b1 ast_hangup (asterisk + 0x11b1)

                Stack trace of thread 31457:
                #0  0x00007f840011a8ec __poll (libc.so.6 + 0x10a8ec)
                ELF object binary architecture: AMD x86-64
"""


def test_coredumpctls_stacks_are_read() -> None:
    backtrace = parse(COREDUMPCTL)

    assert backtrace.signal == "SIGSEGV"
    assert [(thread.lwp, [frame.function for frame in thread.frames]) for thread in backtrace.threads] == [
        (31460, ["__strlen_avx2", None, "ast_hangup"]),
        (31457, ["__poll"]),
    ]
    assert [frame.library for frame in backtrace.threads[0].frames] == ["libc.so.6", "app_dial.so", "asterisk"]


def test_the_journals_prefix_is_taken_off() -> None:
    journal = indented(COREDUMPCTL, "Mar 01 12:00:00 pbx1 systemd-coredump[99]: ")

    assert parse(journal).threads == parse(COREDUMPCTL).threads


def test_coredumpctls_frames_copied_by_hand_are_read() -> None:
    frames = only("#0 __ao2_ref (asterisk + 0x70ee1)\n\n#1 app_dial.so + 0x2749b\n").frames

    assert [(frame.function, frame.library) for frame in frames] == [("__ao2_ref", "asterisk"), (None, "app_dial.so")]


def test_eu_stacks_frames_are_read() -> None:
    text = "PID 7 - process\nTID 8:\n#0  0x00007f840011a8ec      __poll - /usr/lib/libc.so.6\n#1  0x0000564d55e261b1 - 1  monitor\n#2  0x0000564d55e261b0\n"

    thread = only(text)

    assert thread.lwp == 8
    assert [(frame.function, frame.library) for frame in thread.frames] == [
        ("__poll", "/usr/lib/libc.so.6"),
        ("monitor", None),
        (None, None),
    ]


VALGRIND = """\
==15719== Thread 10:
==15719== Invalid free() / delete / delete[] / realloc()
==15719==    at 0x484417B: free (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)
==15719==    by 0x10A514: ast_free_ptr (asterisk.c:80)
==15719==    by 0x4E4B167: moh_class_destructor (res_musiconhold.c:15)
==15719==  Address 0x4a5df60 is 0 bytes inside a block of size 200 free'd
==15719==    at 0x484417B: free (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)
==15719==    by 0x10A514: ast_free_ptr (asterisk.c:80)
==15719==    by 0x4E4B167: earlier (res_musiconhold.c:15)
==15719==    by 0x10B2F8: much_earlier (asterisk.c:444)
==15719==  Block was alloc'd at
==15719==    at 0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)
==15719==    by 0x10A4BF: __ast_malloc (asterisk.c:70)
==15719==
"""


def test_valgrinds_report_is_read_without_what_it_tells_of_the_past() -> None:
    thread = only(VALGRIND)

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


def test_a_sanitizers_report_is_read_without_what_it_tells_of_the_past() -> None:
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

    assert backtrace.heap_said is not None
    assert backtrace.heap_said.checked
    assert places(text) == [
        (0, "ast_channel_name", "main/channel_internal_api.c", 478),
        (1, "hangup(int)", None, None),
    ]


def test_lldbs_frames_are_read() -> None:
    text = """\
* thread #1, name = 'asterisk', stop reason = signal SIGABRT
  * frame #0: 0x0000000801a1 libc.so.7`__sys_thr_kill at thr_kill.S:4
    frame #1: 0x000000080112 libc.so.7`raise(s=6) at raise.c:52:10 [opt]
    frame #2: 0x000000041b58 asterisk`ast_hangup(chan=0x10) at channel.c:2495:3
    frame #3: 0x000000041c58 asterisk`___lldb_unnamed_symbol7 + 42
"""

    thread = only(text)

    assert (thread.number, thread.crashed) == (1, True)
    assert [(frame.function, frame.line) for frame in thread.frames] == [
        ("__sys_thr_kill", 4),
        ("raise", 52),
        ("ast_hangup", 2495),
        ("___lldb_unnamed_symbol7", None),
    ]


LOCKS = """\
=======================================================================
=== 22.10.0
=== Currently Held Locks
=======================================================================
===
=== <pending> <lock#> (<file>): <lock type> <line num> <function> <lock name> <lock addr> (times locked)
===
=== Thread ID: 0x7f46b3828700 LWP:11 (pbx_thread           started at [ 4711] pbx.c ast_pbx_start())
=== ---> Lock #0 (channel.c): MUTEX 920 ast_hangup chan 0x7f4a (1)
	[0x55d4aa] asterisk lock.c:273 __ast_pthread_mutex_lock()
	[0x55d4ab] asterisk channel.c:920 ast_hangup()
	[0x55d4ac] asterisk pbx.c:1 pbx_thread()
=== ---> Waiting for Lock #1 (bridge.c): MUTEX 14 ast_bridge_join &bridge->lock 0x7f4b (1)
	[0x55d4aa] asterisk lock.c:273 __ast_pthread_mutex_lock()
	[0x55d4ad] asterisk bridge.c:14 ast_bridge_join()
=== -------------------------------------------------------------------
===
=== Thread ID: 0x7f46b3828701 LWP:12 (bridge_channel       started at [   12] bridge.c bridge_new())
=== ---> Lock #0 (bridge.c): MUTEX 9 bridge_loop &bridge->lock 0x7f4b (1)
=== ---> Waiting for Lock #1 (channel.c): MUTEX 77 bridge_loop chan 0x7f4a (1)
=== -------------------------------------------------------------------
=======================================================================
"""


def test_core_show_locks_tells_what_its_threads_wait_for() -> None:
    backtrace = parse(LOCKS)

    assert backtrace.debug_threads
    assert [(thread.lwp, [frame.function for frame in thread.frames]) for thread in backtrace.threads] == [
        (11, ["__ast_pthread_mutex_lock", "ast_bridge_join"]),
        (12, ["bridge_loop"]),
    ]
    assert [[lock.waiting for lock in thread.locks] for thread in backtrace.threads] == [[False, True], [False, True]]


def test_core_show_locks_and_gdb_may_tell_of_the_same_threads() -> None:
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
def test_freebsds_and_musls_frames_are_read(text: str, expected: list[str]) -> None:
    assert functions(text) == expected


def test_frames_missing_in_the_middle_are_no_loss() -> None:
    assert [frame.level for frame in only("#4  0x1 in f ()\n...\n#7  0x2 in g ()\n").frames] == [4, 7]


def test_what_looks_like_a_frame_and_is_none_is_told() -> None:
    backtrace = parse(f"{BT}#3\n#4 \nprose\n")

    assert (backtrace.unread, backtrace.first_unread) == (2, "#3")


def test_the_selected_thread_of_info_threads_is_the_one_that_crashed() -> None:
    text = f'(gdb) info threads\n  Id   Target Id         Frame\n* 1    Thread 0x7f (LWP 7) "asterisk" 0x1 in f ()\n  2    Thread 0x7e (LWP 8) 0x2 in g ()\n(gdb) bt\n{BT}'

    assert [(thread.number, thread.crashed) for thread in parse(text).threads] == [(1, True)]


def test_nothing_gives_nothing() -> None:
    assert parse("") == parse([]) == Backtrace()


def test_the_text_may_come_in_pieces_cut_anywhere() -> None:
    for size in (1, 7, 64):
        assert parse(LOCKS[start : start + size] for start in range(0, len(LOCKS), size)) == parse(LOCKS)
