"""Invalid function pointers, overwritten stacks, replaced files, signals that were sent: from gdb's output.

The texts were recorded from Asterisk 22.10.1 on Debian 12, built with DONT_OPTIMIZE and DEBUG_THREADS, and shortened.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from astbtd.backtrace import lock_listing
from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import Extraction, ExtractionOutcome, ReplacedFile, SentBy, Signal, Symbols, Verdict
from astbtd.model.deadlock_capture import ThreadState, ThreadStates
from astbtd.model.diagnosis import Kind

EXTRACTED = Extraction("13.1", 1.0, ExtractionOutcome.OK, {}, Symbols.LAZY)
MODULE = "/usr/lib/asterisk/modules/res_astbtd_scenes.so"
PROGRAM = "/usr/sbin/asterisk"
OUTER = """\
#3  0x000056111664103f in netconsole (vconsole=0x56111698b000 <consoles>) at asterisk.c:1478
#4  0x0000561116806009 in dummy_start (data=0x7f6840004e10) at utils.c:1641
#5  0x00007f686979f1f5 in ?? () from /lib/x86_64-linux-gnu/libc.so.6
"""
NULL_CALL = f"""\
Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):
#0  0x0000000000000000 in ?? ()
#1  0x00007f68663c881d in invoke_indicate (technology=0x7f68666bb378) at res_astbtd_scenes.c:150
#2  0x00007f68663c886b in call_null () at res_astbtd_scenes.c:158
{OUTER}"""
UNLOADED = f"""\
Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):
#0  0x00007f4605e43124 in ?? ()
#1  0x00007f4605ec2d80 in ?? ()
#2  0x00007f68663c886b in poll_vendor (unused=0x0) at res_astbtd_scenes.c:95
{OUTER}"""
OVERWRITTEN = """\
Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):
#0  0x00007f6a0ff9b8ee in ?? () from /lib/x86_64-linux-gnu/libgcc_s.so.1
#1  0x00007f6a0ff9d64b in _Unwind_Backtrace () from /lib/x86_64-linux-gnu/libgcc_s.so.1
#2  0x00007f6a12405a1f in backtrace () from /lib/x86_64-linux-gnu/libc.so.6
#3  0x0000555fec097802 in __ast_bt_get_addresses (bt=0x7f6a0f641e30) at backtrace.c:94
#4  0x0000555fec15a67c in __ast_pthread_mutex_lock (filename=0x555fec33ca51 "logger.c", lineno=2388) at lock.c:267
#5  0x0000555fec2a6b54 in ast_log_full (level=5, sublevel=-1) at logger.c:2388
#6  0x00007f6a0efa26d9 in copy_header (from=0x7f6a0f642180 'A' <repeats 200 times>..., length=300) at scenes.c:116
#7  0x4141414141414141 in ?? ()
#8  0x4141414141414141 in ?? ()
#9  0x4141414141414141 in ?? ()
#10 0x00007f6a0efa3200 in handle_overwrite_stack (e=<error reading variable>) at res_astbtd_scenes.c:385
Backtrace stopped: Cannot access memory at address 0x4141414141414149
"""
REPLACED = f"""\
Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):
#0  0x00007fc35b7c1964 in ?? ()
#1  0x00007fc35bab4388 in ?? ()
#2  0x0000560747ca7923 in ast_cli_command_full (uid=0, gid=0, fd=7, s=0x7fc35bab46c0 "scene segv") at cli.c:3136
{OUTER}"""


def locate(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Locate the frames as a core does: named ones are in the program, the module is at 0x7fc35b7c0000."""
    located = []
    for frame in frames:
        if frame.address is not None and 0x7FC35B7C0000 <= frame.address < 0x7FC35B7D0000:
            frame = replace(frame, library=MODULE, offset=frame.address - 0x7FC35B7C0000)
        elif frame.function and not frame.library:
            frame = replace(frame, library=PROGRAM, offset=0x1000)
        located.append(frame)
    return located


def crash(address: str | None = "0x0", code: int = 1) -> Evidence:
    """Return what the core of a SIGSEGV says."""
    return Evidence(signal=Signal(11, "SIGSEGV", code, address), lwp=7538, extraction=EXTRACTED, locate=locate)


def test_a_call_of_a_null_pointer_is_usable_and_names_the_caller() -> None:
    diagnosis = diagnose(NULL_CALL, crash())

    assert diagnosis.verdict is Verdict.USABLE
    assert diagnosis.crash_function == "invoke_indicate"
    assert diagnosis.headline == "Asterisk crashed: SIGSEGV: it jumped to address 0, called from invoke_indicate"
    assert not any("symbols" in line for line in diagnosis.advice)


def test_a_null_pointer_is_recognized_in_a_text_without_a_core() -> None:
    diagnosis = diagnose(f"Program terminated with signal SIGSEGV, Segmentation fault.\n{NULL_CALL}")

    assert diagnosis.verdict is Verdict.USABLE
    assert "jumped to address 0" in (diagnosis.headline or "")


def test_a_call_into_an_unloaded_library_passes_over_the_stale_frame() -> None:
    diagnosis = diagnose(UNLOADED, crash("0x7f4605e43124"))

    assert diagnosis.verdict is Verdict.USABLE
    assert diagnosis.crash_function == "poll_vendor"
    assert "address 0x7f4605e43124, which contains no code, called from poll_vendor" in (diagnosis.headline or "")


def test_an_unnamed_function_of_a_library_is_not_an_invalid_address() -> None:
    text = NULL_CALL.replace("0x0000000000000000 in ?? ()", "0x00007f68663c8000 in ?? () from /opt/libvendor.so")

    assert "jumped" not in (diagnose(text, crash()).headline or "")


def test_an_overwritten_stack_names_the_function_whose_frame_it_was() -> None:
    diagnosis = diagnose(OVERWRITTEN, crash(None))

    assert diagnosis.crash_function == "copy_header"
    assert diagnosis.signature is not None
    assert diagnosis.signature.text == "stack overwritten in copy_header"
    assert "the stack is overwritten from frame 7: the frame of copy_header was overwritten" in (
        diagnosis.headline or ""
    )
    assert not any("debug symbols" in line for line in diagnosis.advice)


def test_a_single_frame_beyond_the_start_of_a_thread_is_no_damage() -> None:
    text = (
        NULL_CALL.replace("#0  0x0000000000000000 in ?? ()", "#0  f () at a.c:1") + "#6  0x0000000000000000 in ?? ()\n"
    )

    assert "overwritten" not in " ".join(diagnose(text, crash()).reasons)


def test_frames_in_a_replaced_file_have_no_names_and_the_file_is_named_first() -> None:
    at = datetime(2026, 11, 29, 10, 45, 23, tzinfo=UTC)
    diagnosis = diagnose(REPLACED, replace(crash(), replaced=(ReplacedFile(MODULE, at),)))

    assert diagnosis.verdict is Verdict.UNUSABLE
    assert diagnosis.crash_function is None, "the function that called into the module did not crash"
    assert f"{MODULE}, which was replaced at 2026-11-29 10:45:23 UTC" in (diagnosis.headline or "")
    assert diagnosis.reasons[0].startswith(f"Replaced after Asterisk had started: {MODULE} at 2026-11-29 10:45:23 UTC.")
    assert not any("symbols" in line for line in diagnosis.advice)


def test_a_replaced_file_without_frames_of_the_crash_does_not_spoil_the_verdict() -> None:
    replaced = (ReplacedFile("/usr/lib/asterisk/modules/app_dial.so", None),)

    diagnosis = diagnose(NULL_CALL, replace(crash(), replaced=replaced))

    assert diagnosis.verdict is Verdict.USABLE
    assert any("app_dial.so" in reason for reason in diagnosis.reasons)


IDLE = """\
Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):
#0  0x00007f06c11e426f in poll () from /lib/x86_64-linux-gnu/libc.so.6
#1  0x000055d60c7cd534 in monitor_sig_flags (unused=0x0) at asterisk.c:3490
#2  0x000055d60c7cf214 in main (argc=7, argv=0x7ffdf5867b38) at asterisk.c:4112
"""


def sent(name: str, number: int, sender: SentBy) -> Evidence:
    return replace(crash(None), signal=Signal(number, name, 0), sent_by=sender)


def test_a_signal_of_another_process_is_no_fault_of_asterisk() -> None:
    diagnosis = diagnose(IDLE, sent("SIGSEGV", 11, SentBy(2705, 0)))

    assert diagnosis.kind is Kind.SENT
    assert diagnosis.headline == "SIGSEGV sent by pid 2705 (uid 0): not a fault of Asterisk, do not file"


def test_the_watchdog_of_the_service_manager_is_recognized() -> None:
    diagnosis = diagnose(IDLE, sent("SIGABRT", 6, SentBy(1, 0)))

    assert diagnosis.kind is Kind.SENT
    assert (diagnosis.headline or "").startswith("The service manager's watchdog killed a hanging Asterisk")


def test_abort_by_the_process_itself_is_a_crash() -> None:
    """The core's facts have no sender then."""
    aborted = Evidence(signal=Signal(6, "SIGABRT", -6), lwp=7538, extraction=EXTRACTED, locate=locate)
    text = IDLE.replace("in poll () from", "in abort () from")

    assert diagnose(text, aborted).kind is Kind.CRASH


LOCK, ROUTES = 0x7FD98AB60140, 0x7FD98AB601C0
DEADLOCKED = f"""\
{IDLE}
Thread 3 (Thread 0x7fd98a0 (LWP 11026)):
#0  0x00007f39c9e3 in ?? () from /lib/x86_64-linux-gnu/libc.so.6
#1  0x00007f39c9e4 in pthread_mutex_lock () from /lib/x86_64-linux-gnu/libc.so.6
#2  0x00007f39c9e5 in want_a () at res_astbtd_scenes.c:231

Thread 2 (Thread 0x7fd98a1 (LWP 11027)):
#0  0x00007f39c9e3 in ?? () from /lib/x86_64-linux-gnu/libc.so.6
#1  0x00007f39c9e4 in pthread_rwlock_wrlock () from /lib/x86_64-linux-gnu/libc.so.6
#2  0x00007f39c9e5 in write_routes () at res_astbtd_scenes.c:266
"""
LOCKS = f"""\
=== Thread ID: 0x7fd98a0 LWP:11026 (read_then_a)
=== ---> Lock #0 (res_astbtd_scenes.c): RDLOCK 261 read_routes &routes {ROUTES:#x}
=== ---> Waiting for Lock #1 (res_astbtd_scenes.c): MUTEX 231 want_a &mutex_a {LOCK:#x}
===
"""


def futex_wait(lwp: int, futex: int, operation: int, expected: int, near: bytes) -> ThreadState:
    return ThreadState(lwp, 202, (futex, operation, expected, 0, 0, 0), 0x7F00, near.ljust(80, b"\0").hex())


def test_a_deadlock_through_a_read_lock_is_named_in_a_crash_and_decides_the_signature() -> None:
    mutex = futex_wait(11026, LOCK, 0x80, 2, bytes(16) + (2).to_bytes(4, "little") * 2 + (11027).to_bytes(4, "little"))
    readers = (1 << 3 | 2).to_bytes(4, "little")  # one reader, and a writer that waits; the futex is at 12
    rwlock = futex_wait(11027, ROUTES + 12, 0x189, 3, bytes(4) + readers)
    evidence = replace(
        sent("SIGABRT", 6, SentBy(2705, 0)),
        states=ThreadStates("i386:x86-64", (mutex, rwlock)),
        locks=lock_listing.parse(LOCKS),
    )

    diagnosis = diagnose(DEADLOCKED, evidence)

    assert diagnosis.deadlock is True
    assert diagnosis.signature is not None
    assert diagnosis.signature.text == "deadlock in want_a < write_routes"
    assert diagnosis.headline == (
        "SIGABRT sent by pid 2705 (uid 0) to a deadlocked Asterisk; it was deadlocked in want_a and write_routes"
    )
    assert any("waits for routes held by LWP 11026" in reason for reason in diagnosis.reasons)


@pytest.mark.parametrize(("counted", "calls"), [(5214, "2,607"), (None, "100")])
def test_the_number_of_calls_of_a_recursion_is_that_of_all_frames(counted: int | None, calls: str) -> None:
    names = ["evaluate_variable", "evaluate_expression"] * 100
    frames = (
        f"#{number}  0x00007f0ab5fce8f6 in {name} (depth=0) at scenes.c:173\n" for number, name in enumerate(names)
    )
    text = f"Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):\n{''.join(frames)}"

    diagnosis = diagnose(text, replace(crash(), frame_count=counted))

    assert f"stack overflow: evaluate_variable and evaluate_expression call each other {calls} times" in (
        diagnosis.headline or ""
    )
