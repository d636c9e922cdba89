"""Findings about the cause of a crash, and the advice for it."""

import pytest

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.diagnosis import MemoryCorruption
from tests.support.backtraces import (
    prose,
)


def test_a_crash_in_a_lock_wrapper_does_not_call_for_debug_threads() -> None:
    text = "#0  0x1 in pthread_mutex_lock (m=0x1) at l.c:1\n#1  0x2 in __ast_pthread_mutex_lock (t=0x1) at lock.c:1\n"

    assert "DEBUG_THREADS" not in prose(diagnose(text + "#2  0x3 in f () at f.c:1\n"))


def test_a_use_after_free_is_recognized_by_the_pattern_of_malloc_debug() -> None:
    diagnosis = diagnose("#0  0x1 in f (chan=0xdeaddeaddeaddead) at f.c:1\n")

    assert "use after free" in prose(diagnosis)
    assert "valgrind" in prose(diagnosis)
    assert diagnosis.memory_corruption is MemoryCorruption.NONE


def frames(*functions: str) -> str:
    return "".join(f"#{level}  0x1 in {name} () at f.c:1\n" for level, name in enumerate(functions))


def test_advice_about_corruption_has_the_commands() -> None:
    advice = "\n".join(diagnose(frames("free", "f")).advice)

    assert "--enable MALLOC_DEBUG menuselect.makeopts" in advice
    assert "make && make install" in advice
    assert "restart Asterisk" in advice
    assert "valgrind --suppressions=contrib/valgrind.supp" in advice


def test_a_stack_overrun_calls_for_address_sanitizer() -> None:
    diagnosis = diagnose(frames("raise", "abort", "__fortify_fail", "__stack_chk_fail", "f"))

    assert "ADDRESS_SANITIZER" in prose(diagnosis)
    assert "mmlog" not in prose(diagnosis)


@pytest.mark.parametrize(
    "text",
    [
        "[1] ERROR[1]: channel.c: Memory Allocation Failure in function f at line 1 of f.c\n" + frames("f"),
        "#0  0x1 in __longjmp_chk ()\n#1  0x2 in pj_throw_exception_ (exception_id=1) at except.c:53\n",
    ],
)
def test_memory_that_ran_out_is_reported(text: str) -> None:
    diagnosis = diagnose(text)

    assert "Memory ran out" in prose(diagnosis)
    assert "systemctl show asterisk" in prose(diagnosis)
    assert "MALLOC_DEBUG" not in prose(diagnosis)
