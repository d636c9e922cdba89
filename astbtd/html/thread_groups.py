"""Groups threads with identical stacks: of a hundred threads of a PBX, most wait at the same few places."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parsed_backtrace import Thread
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.signature import find_crash_function
from astbtd.html.frame_views import show_function, show_place
from astbtd.lib.quantities import pluralize

_MAX_FRAMES = 100
_MAX_GROUPS = 500


@dataclass(frozen=True)
class ThreadGroup:
    """Threads with one stack: the function that characterizes it, the innermost one if that is another, its frames."""

    title: str
    where: str
    inner: str
    threads: str
    lines: tuple[str, ...]


def group_threads(threads: Iterable[Thread]) -> list[ThreadGroup]:
    """Return the groups, the smallest first: unusual threads are more interesting than those that are like others."""
    groups: dict[tuple[str, ...], list[Thread]] = {}
    for thread in threads:
        if thread.frames:
            groups.setdefault(tuple(map(_key, thread.frames)), []).append(thread)
    ordered = sorted(groups.values(), key=lambda group: (len(group), group[0].number or 0))
    return [_to_group(group) for group in ordered[:_MAX_GROUPS]]


def _key(frame: Frame) -> str:
    """Return what makes a frame the same in several threads: addresses and values do not count."""
    return f"{show_function(frame)} {show_place(frame)}"


def _to_group(group: list[Thread]) -> ThreadGroup:
    first = group[0]
    innermost = show_function(first.frames[0])
    where = find_crash_function(CrashStack(first.frames)) or innermost
    return ThreadGroup(
        title=pluralize(len(group), "thread", "threads"),
        where=where,
        inner=innermost if innermost != where else "",
        threads=", ".join(map(_name, group)),
        lines=tuple(_show_lines(first)),
    )


def _name(thread: Thread) -> str:
    number = f"{thread.number}" if thread.number is not None else "?"
    return f"{number} (LWP {thread.lwp})" if thread.lwp is not None else number


def _show_lines(thread: Thread) -> Iterator[str]:
    shown = thread.frames[:_MAX_FRAMES]
    for frame in shown:
        place = show_place(frame)
        yield f"#{frame.level}  {show_function(frame)}{f'  {place}' if place else ''}"
    omitted = thread.frame_count - len(shown)
    if omitted > 0:
        yield f"... and {omitted} more frames"
