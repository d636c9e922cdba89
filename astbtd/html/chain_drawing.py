"""Places a chain of waiting threads on a drawing: boxes from top to bottom, which also fit on a phone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from astbtd.html.lock_tables import WaitChain, WaitStep

_WIDTH = 360
_BOX_LEFT, _BOX_WIDTH, _BOX_HEIGHT = 10, 300, 54
_GAP = 56  # between two boxes
_MARGIN = 12
_RETURN_X = 338  # of the line from the last box back to the first
_MAX_STEPS = 12
_MAX_TEXT = 38  # characters that fit into a box
_MAX_LABEL = 30


@dataclass(frozen=True)
class Box:
    """A thread: the corner of its box, and its texts, shortened and whole."""

    x: int
    y: int
    width: int
    height: int
    title: str
    subtitle: str
    whole: str


@dataclass(frozen=True)
class Arrow:
    """A wait: its line, the label with the lock, and the position of the label."""

    path: str
    label: str
    label_x: int
    label_y: int


@dataclass(frozen=True)
class Drawing:
    """The drawing, in units of about a pixel. `description` says the same in words; `closed` as in WaitChain."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    description: str
    closed: bool


def draw(chain: WaitChain) -> Drawing:
    """Return the drawing of a chain. Of a very long one, only the first threads are drawn."""
    steps = chain.steps[:_MAX_STEPS]
    boxes = tuple(_box(index, step) for index, step in enumerate(steps))
    arrows = [_arrow_down(boxes[index], step) for index, step in enumerate(steps[:-1])]
    if chain.closed and len(steps) == len(chain.steps):
        arrows.append(_arrow_back(boxes, steps[-1]))
    height = boxes[-1].y + _BOX_HEIGHT + (_GAP if chain.closed else _MARGIN)
    return Drawing(_WIDTH, height, boxes, tuple(arrows), "; ".join(_describe(chain)), chain.closed)


def _box(index: int, step: WaitStep) -> Box:
    y = _MARGIN + index * (_BOX_HEIGHT + _GAP)
    whole = f"{step.thread} in {step.place}" if step.place else step.thread
    title, subtitle = _shorten(step.thread, _MAX_TEXT), _shorten(step.place, _MAX_TEXT)
    return Box(_BOX_LEFT, y, _BOX_WIDTH, _BOX_HEIGHT, title, subtitle, whole)


def _arrow_down(box: Box, step: WaitStep) -> Arrow:
    x, start = box.x + 40, box.y + box.height
    return Arrow(f"M{x} {start} V{start + _GAP - 3}", _label(step), x + 12, start + _GAP // 2 + 4)


def _arrow_back(boxes: Sequence[Box], step: WaitStep) -> Arrow:
    """Return the arrow from below the last box, along the right edge, to the side of the first box."""
    last, first = boxes[-1], boxes[0]
    x, start, turn = last.x + 40, last.y + last.height, last.y + last.height + _GAP // 2
    end_x, end_y = first.x + first.width + 3, first.y + first.height // 2
    path = f"M{x} {start} V{turn} H{_RETURN_X} V{end_y} H{end_x}"
    return Arrow(path, _label(step), x + 12, turn + 18)


def _label(step: WaitStep) -> str:
    return f"waits for {_shorten(step.lock, _MAX_LABEL)}"


def _describe(chain: WaitChain) -> Iterator[str]:
    followers = [*chain.steps[1:], chain.steps[0]] if chain.closed else chain.steps[1:]
    for step, holder in zip(chain.steps, followers, strict=False):
        yield f"{step.thread} waits for {step.lock}, held by {holder.thread}"


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
