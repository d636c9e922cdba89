"""The diagnosis: the fields, the verdict, and advice that accuses no good build."""

import pytest

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import (
    Asterisk,
    Diagnosis,
    Extraction,
    ExtractionOutcome,
    LostCore,
    MemoryCorruption,
    Signal,
    Symbols,
    Verdict,
)

SEGV = Signal(number=11, name="SIGSEGV")


def extraction(ended: ExtractionOutcome, *notes: str) -> Extraction:
    return Extraction("13.1", 1.0, ended, {}, Symbols.LAZY, notes)


def told(diagnosis: Diagnosis) -> str:
    return "\n".join([*diagnosis.reasons, *diagnosis.advice])


def test_a_whole_backtrace_is_usable(two_threads: str) -> None:
    diagnosis = diagnose(two_threads)

    assert (diagnosis.verdict, diagnosis.quality, diagnosis.advice) == (Verdict.USABLE, 1.0, ())
    assert (diagnosis.signal, diagnosis.crash_thread, diagnosis.top_frame) == ("SIGSEGV", 1, "speak")
    assert (diagnosis.crash_function, diagnosis.threads, diagnosis.frames) == ("speak", 2, 6)
    assert diagnosis.memory_corruption is MemoryCorruption.NONE


def test_values_optimised_out_of_the_c_library_accuse_nobody(two_threads: str) -> None:
    diagnosis = diagnose(two_threads)

    assert diagnosis.optimized
    assert "DONT_OPTIMIZE" not in told(diagnosis)


def test_values_optimised_out_of_asterisk_call_for_dont_optimize(optimized: str) -> None:
    diagnosis = diagnose(optimized)

    assert diagnosis.verdict is Verdict.PARTIAL
    assert "DONT_OPTIMIZE" in " ".join(diagnosis.advice)
    assert "restart" in " ".join(diagnosis.advice)


@pytest.mark.parametrize("dont_optimize", [True, False])
def test_the_binarys_own_word_on_optimisation_is_believed(optimized: str, dont_optimize: bool) -> None:
    diagnosis = diagnose(optimized, Evidence(asterisk=Asterisk(dont_optimize=dont_optimize)))

    assert ("DONT_OPTIMIZE" in told(diagnosis)) is not dont_optimize


def test_missing_symbols_call_for_the_package(stripped: str) -> None:
    diagnosis = diagnose(stripped)

    assert diagnosis.missing_symbols
    assert diagnosis.crash_function is None
    assert diagnosis.verdict is Verdict.UNUSABLE
    assert "asterisk-dbgsym" in " ".join(diagnosis.advice)


def test_what_lies_beyond_the_threads_start_is_not_missed(two_threads: str) -> None:
    diagnosis = diagnose(two_threads + "#6  0x0000000000000000 in ?? ()\n")

    assert diagnosis.missing_symbols
    assert diagnosis.verdict is Verdict.USABLE


def test_a_text_cut_inside_the_abort_tells_nothing_of_memory() -> None:
    assert diagnose("#0  __GI_raise (sig=sig@entry=6) at raise.c:50\n").memory_corruption is None
    assert (
        diagnose("#0  0x1 in __kernel_vsyscall ()\n#1  0x2 in raise () from /lib/libc.so.6\n").memory_corruption is None
    )
    assert diagnose("#0  0x1 in usleep ()\n").memory_corruption is MemoryCorruption.NONE


def test_abort_tells_the_signal_where_no_header_does() -> None:
    assert diagnose("#0  __GI_raise (sig=sig@entry=6) at raise.c:50\n#1  0x1 in f () at f.c:1\n").signal == "SIGABRT"


def test_the_cores_signal_is_trusted_over_the_text(double_free: str) -> None:
    assert diagnose(double_free, Evidence(signal=SEGV)).signal == "SIGSEGV"


def test_the_thread_that_got_the_signal_is_the_one_that_crashed(two_threads: str) -> None:
    diagnosis = diagnose(two_threads, Evidence(lwp=31455))

    assert diagnosis.crash_function == "main"


def test_without_a_word_on_it_the_thread_that_aborts_is_the_one() -> None:
    waiting = "Thread 2 (LWP 2):\n#0  0x1 in poll ()\n#1  0x1 in wait_for ()\n"
    aborting = "Thread 9 (LWP 9):\n#0  0x1 in abort ()\n#1  0x1 in give_up ()\n"

    diagnosis = diagnose(waiting + aborting)

    assert (diagnosis.crash_thread, diagnosis.crash_function) == (9, "give_up")


def test_a_thread_that_only_happens_to_be_first_has_no_number() -> None:
    assert diagnose("Thread 9 (LWP 9):\n#0  0x1 in poll ()\n#1  0x1 in wait_for ()\n").crash_thread is None


def test_lock_wrappers_are_no_evidence_of_debug_threads() -> None:
    assert not diagnose("#0  0x1 in __ast_pthread_mutex_lock () at lock.c:1\n#1  0x2 in hang ()\n").debug_threads


@pytest.mark.parametrize(
    "text",
    [
        "#0  0x1 in ast_reentrancy_lock () at lock.h:1\n",
        "#0  0x1 in ast_rentrancy_lock () at lock.h:1\n",
        "=== Currently Held Locks\n",
        "=== ---> Waiting for Lock #0 (x.c): MUTEX 12 f &lock 0x1 (1)\n",
    ],
)
def test_what_only_debug_threads_builds_have_is_evidence(text: str) -> None:
    assert diagnose(text).debug_threads


@pytest.mark.parametrize("text", ["", "No stack.\n", "\0\0\0"])
def test_no_frames_is_unusable_and_says_so(text: str) -> None:
    diagnosis = diagnose(text)

    assert (diagnosis.verdict, diagnosis.quality, diagnosis.memory_corruption) == (Verdict.UNUSABLE, 0.0, None)
    assert diagnosis.reasons
    assert diagnosis.advice
    assert diagnosis.signature == diagnose(text).signature


@pytest.mark.parametrize(
    ("evidence", "verdict", "word"),
    [
        (Evidence(truncated=True), Verdict.PARTIAL, "LimitCORE"),
        (Evidence(changed_binary=True), Verdict.UNUSABLE, "another build"),
        (Evidence(unreadable=("/a.so", "/b.so", "/c.so", "/d.so")), Verdict.PARTIAL, "/a.so, /b.so, /c.so and 1 more"),
        (Evidence(extraction=extraction(ExtractionOutcome.TIMEOUT)), Verdict.PARTIAL, "gdb.time"),
        (Evidence(extraction=extraction(ExtractionOutcome.TOO_MUCH_OUTPUT)), Verdict.PARTIAL, "gdb.output"),
        (Evidence(extraction=extraction(ExtractionOutcome.KILLED)), Verdict.PARTIAL, "memory"),
        (Evidence(extraction=extraction(ExtractionOutcome.FAILED)), Verdict.PARTIAL, "gdb.log"),
        (
            Evidence(extraction=extraction(ExtractionOutcome.OK, "200 frames a thread at most.")),
            Verdict.USABLE,
            "200 frames",
        ),
    ],
)
def test_what_went_wrong_before_is_told(two_threads: str, evidence: Evidence, verdict: Verdict, word: str) -> None:
    diagnosis = diagnose(two_threads, evidence)

    assert diagnosis.verdict is verdict
    assert word in told(diagnosis)


def test_a_changed_binary_does_not_ask_for_symbols_of_the_wrong_build(stripped: str) -> None:
    assert "dbgsym" not in told(diagnose(stripped, Evidence(changed_binary=True)))


def test_a_stack_that_gdb_could_not_follow_is_told() -> None:
    diagnosis = diagnose(
        "#0  0x1 in f () at f.c:1\nBacktrace stopped: previous frame inner to this frame (corrupt stack?)\n"
    )

    assert diagnosis.verdict is Verdict.PARTIAL
    assert "corrupt stack?" in told(diagnosis)


def test_frames_that_are_missing_are_told() -> None:
    diagnosis = diagnose("#4  0x1 in f () at f.c:1\n#5  0x2 in g () at g.c:1\n#8  0x3 in h () at h.c:1\n")

    assert "#0 to #3, #6 to #7" in told(diagnosis)
    assert diagnosis.top_frame is None


def test_what_could_not_be_read_is_told(two_threads: str) -> None:
    assert "1 line looks like a frame and could not be read, the first: #9" in told(diagnose(two_threads + "#9\n"))


def test_optimised_values_are_counted() -> None:
    text = "#0  0x1 in f (a=<optimized out>, b=<optimized out>) at f.c:1\n#1  0x2 in g (c=1) at g.c:1\n"

    assert "in 1 of 2 frames of Asterisk's, 2 arguments of theirs" in told(diagnose(text))


def test_the_objects_without_symbols_are_named_and_so_are_their_packages() -> None:
    text = "#0  0x1 in ?? () from /usr/lib/asterisk/modules/chan_x.so\n#1  0x2 in ?? () from /usr/lib/libfoo.so.2\n"

    diagnosis = diagnose(text)

    assert "for 2 of 2 frames of the crash thread, in chan_x.so, libfoo.so" in told(diagnosis)
    assert "asterisk-dbgsym" in told(diagnosis)
    assert "debug symbols of libfoo.so" in told(diagnosis)


def test_a_wrapper_of_locks_accuses_no_build() -> None:
    text = "#0  0x1 in pthread_mutex_lock (m=0x1) at l.c:1\n#1  0x2 in __ast_pthread_mutex_lock (t=0x1) at lock.c:1\n"

    assert "DEBUG_THREADS" not in told(diagnose(text + "#2  0x3 in f () at f.c:1\n"))


def test_memory_that_was_used_after_it_was_freed_is_recognised() -> None:
    diagnosis = diagnose("#0  0x1 in f (chan=0xdeaddeaddeaddead) at f.c:1\n")

    assert "used after that" in told(diagnosis)
    assert "valgrind" in told(diagnosis)
    assert diagnosis.memory_corruption is MemoryCorruption.NONE


def test_a_core_that_is_lost_is_said_with_what_saves_the_next_one() -> None:
    diagnosis = diagnose("", Evidence(loss=LostCore("It is gone.", "Keep the next one.")))

    assert (diagnosis.reasons, diagnosis.advice) == (("It is gone.",), ("Keep the next one.",))
    assert diagnosis.verdict is Verdict.UNUSABLE


def test_a_container_whose_files_are_not_known_is_said_with_the_setting_that_names_them(two_threads: str) -> None:
    diagnosis = diagnose(two_threads, Evidence(container=True))

    assert "container" in diagnosis.reasons[1]
    assert "gdb.container_root" in diagnosis.advice[0]
