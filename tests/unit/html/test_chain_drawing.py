"""The drawing of a deadlock: everything is inside it, nothing overlaps, and it says who waits for whom."""

from itertools import pairwise

import pytest

from astbtd.html.chain_drawing import draw
from astbtd.html.lock_tables import WaitChain, WaitStep


def chain(count: int, *, closed: bool = True, name: str = "LWP") -> WaitChain:
    steps = tuple(WaitStep(f"{name} {number}", f"function_{number} a.c:1", f"lock {number}") for number in range(count))
    return WaitChain(steps, closed)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_each_thread_is_a_box_and_each_wait_an_arrow(count: int) -> None:
    drawing = draw(chain(count))

    assert [box.title for box in drawing.boxes] == [f"LWP {number}" for number in range(count)]
    assert [arrow.label for arrow in drawing.arrows] == [f"waits for lock {number}" for number in range(count)]


def test_an_open_chain_has_no_arrow_back() -> None:
    assert len(draw(chain(3, closed=False)).arrows) == 2


@pytest.mark.parametrize("count", [1, 2, 12])
def test_boxes_do_not_overlap_and_fit_into_the_drawing(count: int) -> None:
    drawing = draw(chain(count))

    assert all(upper.y + upper.height < lower.y for upper, lower in pairwise(drawing.boxes))
    assert all(box.x + box.width < drawing.width for box in drawing.boxes)
    assert drawing.boxes[-1].y + drawing.boxes[-1].height < drawing.height
    assert all(arrow.label_y < drawing.height for arrow in drawing.arrows)


def test_the_description_says_who_waits_for_whom() -> None:
    assert draw(chain(2)).description == (
        "LWP 0 waits for lock 0, held by LWP 1; LWP 1 waits for lock 1, held by LWP 0"
    )


def test_long_names_are_shortened_in_the_box_and_whole_in_its_title() -> None:
    box = draw(chain(1, name="n" * 500)).boxes[0]

    assert len(box.title) <= 38
    assert box.whole.startswith("n" * 500)


def test_a_very_long_chain_is_drawn_in_part() -> None:
    drawing = draw(chain(100))

    assert (len(drawing.boxes), len(drawing.arrows)) == (12, 11)
