"""Findings about the cause of a crash, and the advice for it."""

# ruff: noqa: E501 - the lines are as long as the programs make them

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


@pytest.mark.parametrize(
    ("message", "function"),
    [
        ("WARNING: Freeing unregistered memory 0x5555 by t.c talk_destroy() line 112", "talk_destroy"),
        ("[2026-03-01 12:00:00] WARNING[42]: astmm.c:400 fence_check: WARNING: High fence violation of 0x7f at t.c talk_new() line 12", None),
        ("WARNING: Memory corrupted after free of 0x7f allocated at t.c talk_new() line 12", None),
    ],
)  # fmt: skip
def test_malloc_debug_needs_no_rebuild_with_malloc_debug(message: str, function: str | None) -> None:
    frames = (
        "#0  __GI_raise (sig=6) at raise.c:50\n#1  0x2 in __GI_abort () at abort.c:79\n"
        '#2  0x3 in malloc_printerr (str=0x7 "free(): invalid pointer") at malloc.c:5347\n'
        "#3  0x4 in _int_free (p=0x7) at malloc.c:4173\n#4  0x5 in __ao2_ref (user_data=0x7) at astobj2.c:614\n"
    )

    diagnosis = diagnose(f"{message}\n{frames}")

    assert "mmlog" in prose(diagnosis)
    assert "rebuild with MALLOC_DEBUG" not in prose(diagnosis)
    assert diagnosis.crash_function == function
