"""Finds the crash that a person means: by its id, the beginning of one, `latest`, or `-N`."""

import re
from itertools import islice

from astbtd.errors import NothingMatched
from astbtd.store.captures import Captures
from astbtd.store.store import Store

_SHORTEST_PREFIX = 4
_LOOK = "`astbtd list` shows what there is"


def resolve(store: Store, selector: str) -> str:
    """The id that a full id, a unique prefix, `latest` or `-N` (N-th newest) stands for. Raises NothingMatched."""
    selector = "-1" if selector == "latest" else selector
    ids = list(islice(store.newest(), 1 if selector == "-1" else None))
    if not ids:
        raise nothing_yet(store)
    if re.fullmatch(r"-\d{1,9}", selector):
        return _by_position(store, ids, int(selector[1:]))
    return selector if selector in ids else _by_prefix(ids, selector)


def capture_meant(store: Store, captures: Captures, selector: str) -> str | None:
    """The capture that is meant; None where it is a crash, as with `latest` and `-N`. Raises NothingMatched."""
    matches = captures.matching(selector)
    if not matches or selector in store.ids():
        return None
    both = [*matches, *(crash_id for crash_id in store.ids() if crash_id.startswith(selector))]
    if len(both) > 1 and selector not in matches:
        raise NothingMatched(f"{len(both)} crashes' and captures' ids start with {selector!r}", "give more of the id")
    return matches[0]


def nothing_yet(store: Store) -> NothingMatched:
    """What to raise where the store is empty."""
    return NothingMatched(
        f"no crash has been collected in {store.root} yet", "`astbtd check-config` says what is watched"
    )


def _by_position(store: Store, ids: list[str], position: int) -> str:
    if 1 <= position <= len(ids):
        return ids[position - 1]
    raise NothingMatched(f"there is no crash -{position}: the store {store.root} has {len(ids)}", _LOOK)


def _by_prefix(ids: list[str], prefix: str) -> str:
    if len(prefix) < _SHORTEST_PREFIX:
        raise NothingMatched(f"{prefix!r} is too short for an id", f"give {_SHORTEST_PREFIX} characters at least")
    matches = [crash_id for crash_id in ids if crash_id.startswith(prefix)]
    if not matches:
        raise NothingMatched(f"no crash's id starts with {prefix!r}", _LOOK)
    if len(matches) > 1:
        raise NothingMatched(f"{len(matches)} crashes' ids start with {prefix!r}", "give more of the id")
    return matches[0]
