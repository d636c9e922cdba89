"""Reports of valgrind and the sanitizers."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.verdict import diagnose
from astbtd.model.diagnosis import Kind, MemoryCorruption
from tests.support.backtraces import indent, prose
from tests.support.transcripts import USE_AFTER_FREE

NONE, CERTAIN = MemoryCorruption.NONE, MemoryCorruption.CERTAIN
FRAMES = "    #0 0x55d0aa11bb21 in speak /usr/src/main/talk.c:42:9\n    #1 0x55d0aa11cc21 in talker /usr/src/main/talk.c:77:3\n"
WRITE_TO_FREED = """\
==4242== Thread 7:
==4242== Invalid write of size 8
==4242==    at 0x300310: speak (talk.c:42)
==4242==    by 0x300999: talker (talk.c:77)
==4242==  Address 0x5204040 is 16 bytes inside a block of size 24 free'd
==4242==    at 0x48399AB: free (vg_replace_malloc.c:538)
==4242==    by 0x301111: talk_destroy (talk.c:90)
==4242==  Block was alloc'd at
==4242==    at 0x483AB65: calloc (vg_replace_malloc.c:760)
==4242==    by 0x300123: talk_new (talk.c:12)
==4242==
"""


@pytest.mark.parametrize(
    "prefix", ["", "Jan 02 03:04:05 pbx asterisk[4242]: ", "asterisk-1  | ", "2026-03-01T12:00:00.1Z "]
)
@pytest.mark.parametrize("mark", ["==4242==ERROR", "ERROR"])
def test_a_use_after_free_names_all_three_functions(prefix: str, mark: str) -> None:
    diagnosis = diagnose(indent(USE_AFTER_FREE.replace("==4242==ERROR", mark), prefix))

    assert diagnosis.headline == "Use after free: written in speak, freed in talk_destroy (T3), allocated in talk_new"
    assert (diagnosis.kind, diagnosis.memory_corruption) == (Kind.SANITIZER, CERTAIN)
    assert "MALLOC_DEBUG" not in prose(diagnosis)
    assert "--log-file=valgrind.txt" not in prose(diagnosis)


@pytest.mark.parametrize("prefix", ["", "Jan 02 03:04:05 pbx valgrind[4]: ", "> "])
def test_valgrind_names_who_freed_the_block(prefix: str) -> None:
    diagnosis = diagnose(indent(WRITE_TO_FREED, prefix))

    assert diagnosis.headline == "Use after free: written in speak, freed in talk_destroy, allocated in talk_new"
    assert (diagnosis.kind, diagnosis.memory_corruption, diagnosis.threads) == (Kind.VALGRIND, CERTAIN, 1)
    assert "MALLOC_DEBUG" not in prose(diagnosis)


@pytest.mark.parametrize(
    ("error", "signal", "corruption"),
    [
        ("heap-buffer-overflow on address 0x602 at pc 0x55", None, CERTAIN),
        ("stack-buffer-overflow on address 0x602 at pc 0x55", None, CERTAIN),
        ("global-buffer-overflow on address 0x602 at pc 0x55", None, CERTAIN),
        ("attempting double-free on 0x602 in thread T3:", None, CERTAIN),
        ("attempting free on address which was not malloc()-ed: 0x602 in thread T0", None, CERTAIN),
        ("SEGV on unknown address 0x000000000010 (pc 0x55 bp 0x7f sp 0x7f T7)", "SIGSEGV", NONE),
        ("BUS on unknown address (pc 0x55 bp 0x7f sp 0x7f T7)", "SIGBUS", NONE),
        ("FPE on unknown address 0x55 (pc 0x55 bp 0x7f sp 0x7f T0)", "SIGFPE", NONE),
        ("ABRT on unknown address 0x03e8 (pc 0x7f bp 0x7f sp 0x7f T0)", "SIGABRT", NONE),
        ("allocation-size-too-big", None, NONE),
    ],
)  # fmt: skip
def test_address_sanitizer_distinguishes_wrong_accesses_and_signals(
    error: str, signal: str | None, corruption: MemoryCorruption
) -> None:
    diagnosis = diagnose(f"==1==ERROR: AddressSanitizer: {error}\n{FRAMES}")

    assert (diagnosis.kind, diagnosis.signal, diagnosis.memory_corruption) == (Kind.SANITIZER, signal, corruption)
    assert diagnosis.crash_function == "speak"


@pytest.mark.parametrize(
    ("error", "corruption"),
    [
        ("Invalid write of size 4", CERTAIN),
        ("Invalid free() / delete / delete[] / realloc()", CERTAIN),
        ("Invalid read of size 4", NONE),
        ("Conditional jump or move depends on uninitialised value(s)", NONE),
        ("Use of uninitialised value of size 8", NONE),
        ("Syscall param write(buf) points to uninitialised byte(s)", NONE),
    ],
)
def test_valgrind_distinguishes_writes_from_other_errors(error: str, corruption: MemoryCorruption) -> None:
    diagnosis = diagnose(
        f"==1== {error}\n==1==    at 0x1: speak (talk.c:1)\n==1==    by 0x2: talker (talk.c:2)\n==1==\n"
    )

    assert (diagnosis.kind, diagnosis.memory_corruption) == (Kind.VALGRIND, corruption)


def test_thread_sanitizer_and_undefined_behaviour_sanitizer_are_read() -> None:
    race = "WARNING: ThreadSanitizer: data race (pid=4)\n  Write of size 8 at 0x7b1 by thread T1:\n    #0 memset <null> (libtsan.so.0+0x1)\n    #1 speak /src/talk.c:42:3 (asterisk+0x2)\n\n  Previous read of size 8 at 0x7b1 by main thread:\n    #0 other /src/o.c:1 (asterisk+0x3)\n"
    undefined = f"talk.c:42:9: runtime error: member access within null pointer of type 'struct talk'\n{FRAMES}"

    assert diagnose(race).headline == "ThreadSanitizer: data race in speak"
    assert (
        diagnose(undefined).headline
        == "Undefined behaviour: member access within null pointer of type 'struct talk', in speak"
    )


def test_an_error_counts_more_than_a_leak_before_it() -> None:
    leak = "==1== 40 bytes in 1 blocks are definitely lost in loss record 1 of 1\n==1==    at 0x1: malloc (vg_replace_malloc.c:1)\n==1==    by 0x2: talk_new (talk.c:1)\n==1==\n"

    diagnosis = diagnose(leak + WRITE_TO_FREED)

    assert (diagnosis.kind, diagnosis.crash_function) == (Kind.VALGRIND, "speak")


def test_the_leaked_bytes_replace_the_title_of_the_report() -> None:
    text = f"==4==ERROR: LeakSanitizer: detected memory leaks\n\nDirect leak of 40 byte(s) in 1 object(s) allocated from:\n{FRAMES}"

    report = parse(text).report

    assert report
    assert report.error == "40 byte(s) in 1 object(s)"


def test_the_summary_of_a_leak_report_is_one() -> None:
    text = "==4== LEAK SUMMARY:\n==4==    definitely lost: 40 bytes in 1 blocks\n==4==    indirectly lost: 0 bytes in 0 blocks\n"

    assert diagnose(text).kind is Kind.LEAK
    assert diagnose(text.replace("40 bytes in 1", "0 bytes in 0")).kind is Kind.NOTHING
