"""Repeated frames are shown once, with how often they occur."""

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_folding import fold_frames


def shown(*names: str) -> list[str]:
    frames = [Frame(number, f"#{number} {name}", function=name) for number, name in enumerate(names)]
    return [each if isinstance(each, str) else each.text for each in fold_frames(frames)]


def test_a_cycle_of_two_functions_is_shown_once() -> None:
    assert shown("top", *["a", "b"] * 4, "main") == [
        "#0 top",
        "#1 a",
        "#2 b",
        "... the 2 frames above repeated 3 times, up to #8",
        "#9 main",
    ]


def test_frames_with_the_same_invalid_address_are_folded() -> None:
    frames = [Frame(number, f"#{number}", address=0x41414141) for number in range(5)]

    assert list(fold_frames(frames))[1:] == ["... the frame above repeated 4 times, up to #4"]


def test_two_calls_of_one_function_are_not_a_recursion() -> None:
    assert shown("a", "a", "b") == ["#0 a", "#1 a", "#2 b"]


def test_no_frame_is_lost() -> None:
    assert shown("a", "b", "a", "b", "c") == ["#0 a", "#1 b", "#2 a", "#3 b", "#4 c"]
