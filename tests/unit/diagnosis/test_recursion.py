"""Runaway recursion: a stack overflow, named and grouped by the functions that call one another."""

import pytest

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.diagnosis import Diagnosis, MemoryCorruption
from tests.support.backtraces import prose

HEADER = "Program terminated with signal SIGSEGV, Segmentation fault.\n"


def overflow(*cycle: str, leaf: tuple[str, ...] = ("copy",), calls: int = 500, outer: int = 0) -> Diagnosis:
    """Return the diagnosis of a stack in which the functions of `cycle` call one another."""
    names = [*leaf, *(list(cycle) * calls), *(f"outer_{number}" for number in range(outer)), "main"]
    lines = (f"#{level}  {level + 256:#x} in {name} (depth={level}) at f.c:{level}" for level, name in enumerate(names))
    return diagnose(HEADER + "\n".join(lines) + "\n")


def test_the_functions_and_the_number_of_calls_are_named() -> None:
    diagnosis = overflow("substitute", "evaluate")

    assert diagnosis.headline == (
        "Asterisk crashed: SIGSEGV, stack overflow: substitute and evaluate call each other 500 times"
    )
    assert (diagnosis.crash_function, diagnosis.top_frame) == ("substitute", "copy")
    assert diagnosis.memory_corruption is MemoryCorruption.NONE
    assert "Stack overflow" in prose(diagnosis)


@pytest.mark.parametrize("cycle", [("expand",), ("a", "b"), ("a", "b", "c"), ("a", "b", "c", "d", "e", "f", "g")])
def test_the_signature_does_not_depend_on_where_the_stack_ended(cycle: tuple[str, ...]) -> None:
    rotated = (*cycle[1:], cycle[0])

    signatures = [
        overflow(*cycle).signature,
        overflow(*rotated, leaf=("_int_malloc", "malloc", "allocate"), calls=3000, outer=5).signature,
        overflow(*cycle, leaf=(), calls=200).signature,
    ]

    assert {each.text if each else None for each in signatures} == {f"stack overflow in {' < '.join(sorted(cycle))}"}


def test_a_function_that_calls_itself_is_named() -> None:
    assert str(overflow("expand", calls=900).headline).endswith("expand calls itself 900 times")


@pytest.mark.parametrize("calls", [1, 5, 20])
def test_a_short_recursion_is_no_stack_overflow(calls: int) -> None:
    diagnosis = overflow("walk", "visit", calls=calls)

    assert (diagnosis.crash_function, diagnosis.headline) == ("copy", "Asterisk crashed: SIGSEGV in copy")


def test_a_deep_stack_of_different_functions_is_no_recursion() -> None:
    assert (
        diagnose(
            HEADER + "".join(f"#{level}  {level + 1:#x} in f{level} () at f.c:1\n" for level in range(150))
        ).crash_function
        == "f0"
    )


def test_a_sanitizer_that_reports_an_overflow_needs_no_deep_stack() -> None:
    frames = "".join(f"    #{level} 0x55d0aa11bb21 in expand /usr/src/t.c:42:9\n" for level in range(4))
    diagnosis = diagnose(f"==4==ERROR: AddressSanitizer: stack-overflow on address 0x7ffe (pc 0x55 bp 0x7f)\n{frames}")

    assert (diagnosis.signal, diagnosis.memory_corruption) == ("SIGSEGV", MemoryCorruption.NONE)
    assert diagnosis.headline == "Stack overflow: expand calls itself 4 times"
