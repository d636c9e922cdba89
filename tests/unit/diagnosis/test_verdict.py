"""The verdict on a complete backtrace."""

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import MemoryCorruption


def test_a_complete_backtrace_is_usable(two_threads: str) -> None:
    diagnosis = diagnose(two_threads)

    assert (diagnosis.verdict, diagnosis.quality, diagnosis.advice) == (Verdict.USABLE, 1.0, ())
    assert (diagnosis.signal, diagnosis.crash_thread, diagnosis.top_frame) == ("SIGSEGV", 1, "speak")
    assert (diagnosis.crash_function, diagnosis.threads, diagnosis.frames) == ("speak", 2, 6)
    assert diagnosis.memory_corruption is MemoryCorruption.NONE


ABORTED_ABOVE_A_STRIPPED_C_LIBRARY = """\
Program terminated with signal SIGABRT, Aborted.
[Current thread is 1 (Thread 0x7f00 (LWP 365))]
#0  0x00007fc60b7a4d0c in ?? () from /usr/lib/x86_64-linux-gnu/libc.so.6
#1  0x00007fc60b74e582 in raise () from /usr/lib/x86_64-linux-gnu/libc.so.6
#2  0x00007fc60b736507 in abort () from /usr/lib/x86_64-linux-gnu/libc.so.6
#3  0x00007fc5c76390c9 in speak (e=0x7fc5c763d968 <commands+1800>, cmd=-4) at res_speech.c:365
#4  0x000055a64af25099 in ast_cli_command_full (uid=0, gid=0, fd=8, s=0x7fc60ac49590 "speak") at cli.c:3136
#5  0x000055a64aea0a54 in netconsole (vconsole=0x55a64b1ef0c0 <consoles>) at asterisk.c:1478
#6  0x000055a64b06cfeb in dummy_start (data=0x7fc5e8002450) at utils.c:1641
#7  0x00007fc60b7a2db8 in ?? () from /usr/lib/x86_64-linux-gnu/libc.so.6
#8  0x00007fc60b820f98 in ?? () from /usr/lib/x86_64-linux-gnu/libc.so.6
"""


def test_frames_of_a_stripped_c_library_cost_nothing() -> None:
    diagnosis = diagnose(ABORTED_ABOVE_A_STRIPPED_C_LIBRARY)

    assert (diagnosis.verdict, diagnosis.quality, diagnosis.advice) == (Verdict.USABLE, 1.0, ())
