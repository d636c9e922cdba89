"""Finds cycles in a wait-for graph."""

from collections.abc import Mapping, Sequence

_MOST_MEMBERS = 100_000
"""Of all cycles that are returned. If very many threads hold a lock that all of them want, there are far more."""


def find_cycles(blockers: Mapping[int, Sequence[int]]) -> list[tuple[int, ...]]:
    """Return the cycles in a graph that maps a thread to those it waits for.

    Each starts with its lowest LWP.

    This is a depth-first search without recursion, because chains may be long. It visits each thread once. Cycles that
    share a thread, which readers of a lock make possible, may be found only once, which is enough.
    """
    cycles = set()
    members = 0
    finished: set[int] = set()
    for start in blockers:
        path: list[int] = []
        position: dict[int, int] = {}  # in the path
        pending = [iter((start,))]  # for each thread of the path, its blockers that are not visited yet
        while pending:
            lwp = next(pending[-1], None)
            if lwp is None:
                pending.pop()
                if path:
                    left = path.pop()
                    finished.add(left)
                    del position[left]
            elif lwp in position:
                members += len(path) - position[lwp]
                if members <= _MOST_MEMBERS:
                    cycles.add(_rotate_to_lowest(path[position[lwp] :]))
            elif lwp in blockers and lwp not in finished:
                position[lwp] = len(path)
                path.append(lwp)
                pending.append(iter(blockers[lwp]))
    return sorted(cycles)


def _rotate_to_lowest(cycle: Sequence[int]) -> tuple[int, ...]:
    lowest = cycle.index(min(cycle))
    return (*cycle[lowest:], *cycle[:lowest])
