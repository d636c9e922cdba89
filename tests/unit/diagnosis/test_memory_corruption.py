"""Whether memory was corrupted, from the crashed thread and the allocator's messages."""

import pytest

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.diagnosis import MemoryCorruption


def test_a_text_that_ends_inside_the_abort_leaves_it_open() -> None:
    assert diagnose("#0  __GI_raise (sig=sig@entry=6) at raise.c:50\n").memory_corruption is None
    assert (
        diagnose("#0  0x1 in __kernel_vsyscall ()\n#1  0x2 in raise () from /lib/libc.so.6\n").memory_corruption is None
    )
    assert diagnose("#0  0x1 in usleep ()\n").memory_corruption is MemoryCorruption.NONE


NONE, LIKELY, CERTAIN = MemoryCorruption.NONE, MemoryCorruption.LIKELY, MemoryCorruption.CERTAIN


def frames(*functions: str) -> str:
    return "".join(f"#{level}  0x1 in {name} () at f.c:1\n" for level, name in enumerate(functions))


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        (["_int_malloc", "malloc", "f"], LIKELY),
        (["_int_malloc", "calloc", "__ast_calloc", "f"], LIKELY),
        (["raise", "abort", "malloc_printerr", "_int_malloc", "__libc_malloc", "f"], LIKELY),
        (["raise", "abort", "malloc_printerr", "_int_realloc", "realloc", "__ast_realloc", "f"], LIKELY),
        (["_int_free", "_int_realloc", "realloc", "f"], LIKELY),
        (["malloc_consolidate", "_int_malloc", "malloc", "vasprintf", "f"], LIKELY),
        (["sysmalloc", "_int_malloc", "malloc", "operator new(unsigned long)", "f"], LIKELY),
        (["_int_free", "free", "f"], CERTAIN),
        (["malloc_consolidate", "_int_free", "free", "__ast_free", "f"], CERTAIN),
        (["raise", "abort", "malloc_printerr", "_int_free", "free", "fclose", "f"], CERTAIN),
        (["raise", "abort", "malloc_printerr", "f"], CERTAIN),
        (["raise", "abort", "munmap_chunk", "f"], CERTAIN),
        (["raise", "abort", "malloc_printerr", "tcache_thread_shutdown", "start_thread"], CERTAIN),
        (["raise", "abort", "my_do_crash", "region_check_fences", "__ast_free_region", "__ast_free", "f"], CERTAIN),
        (["a_crash", "get_meta", "__libc_free", "free", "f"], CERTAIN),
        (["a_crash", "alloc_slot", "__libc_malloc_impl", "f"], LIKELY),
        (["je_tcache_dalloc_small", "je_free", "f"], CERTAIN),
        (["raise", "abort", "je_safety_check_fail", "f"], CERTAIN),
        (["__interceptor_free", "f"], CERTAIN),
        (["raise", "abort", "__fortify_fail", "__stack_chk_fail", "f"], CERTAIN),
        (["raise", "abort", "__fortify_fail", "__chk_fail", "__memcpy_chk", "f"], NONE),
        (["raise", "abort", "__assert_fail", "f", "free"], NONE),
        (["strlen", "f"], NONE),
    ],
)
def test_the_allocator_function_that_the_program_called_decides(
    functions: list[str], expected: MemoryCorruption
) -> None:
    assert diagnose(frames(*functions)).memory_corruption is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("free(): double free detected in tcache 2", CERTAIN),
        ("double free or corruption (out)", CERTAIN),
        ("munmap_chunk(): invalid pointer", CERTAIN),
        ("corrupted size vs. prev_size", CERTAIN),
        ("malloc(): corrupted top size", LIKELY),
        ("realloc(): invalid next size", LIKELY),
        ("*** stack smashing detected ***: terminated", CERTAIN),
        ("f.c:1: f: Assertion `chan' failed.", NONE),
    ],
)
def test_the_message_of_the_c_library_decides_if_its_frames_have_no_names(
    message: str, expected: MemoryCorruption
) -> None:
    text = "#0  0x1 in raise ()\n#1  0x1 in abort ()\n#2  0x1 in ?? () from /lib/libc.so.6\n#3  0x1 in f () at f.c:1\n"

    diagnosis = diagnose(text, Evidence(abort_message=message))

    assert diagnosis.memory_corruption is expected
    assert diagnose(f"{message}\n{text}").memory_corruption is expected


def test_an_earlier_message_about_the_heap_does_not_count_for_another_crash() -> None:
    assert diagnose("free(): invalid pointer\n" + frames("strlen", "f")).memory_corruption is NONE


def test_a_message_of_a_sanitizer_is_certain() -> None:
    text = "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n    #0 0x55 in f main/f.c:1:2\n"

    assert diagnose(text).memory_corruption is CERTAIN
