"""Finds the crash or capture that the user names: a full id, a unique prefix, `latest`, or `-N`."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from astbtd.errors import NothingMatched
from astbtd.model.record_summary import CRASH_ID, ReplacedRecord
from astbtd.store.captures import Captures
from astbtd.store.record import crash_time
from astbtd.store.store import DamagedRecord, Store

_SHORTEST_PREFIX = 4
SAME_DEATH = timedelta(minutes=3)
"""Larger than any difference between the times of two records of one death."""

_LIST_HINT = "`astbtd list` shows all crashes"


def resolve(store: Store, selector: str) -> str:
    """Return the id for a full id, a unique prefix, `latest` or `-N` (N-th newest of the PBX). Raise NothingMatched."""
    selector = "-1" if selector == "latest" else selector
    if re.fullmatch(r"-\d{1,9}", selector):
        return _by_position(store, int(selector[1:]))
    ids = store.ids()
    if not ids:
        raise empty_store_error(store)
    return selector if selector in ids else find_replacing(store, selector) or _by_prefix(ids, selector)


def find_capture(store: Store, captures: Captures, selector: str) -> str | None:
    """Return the id of the capture that is named, or None if it is a crash (as with `latest` and `-N`).

    Raise NothingMatched if the prefix is ambiguous.
    """
    matches = captures.matching(selector)
    if not matches or selector in store.ids():
        return None
    crashes = [crash_id for crash_id in store.ids() if crash_id.startswith(selector)]
    count = len(matches) + len(crashes)
    if count > 1 and selector not in matches:
        raise NothingMatched(f"{selector!r} is ambiguous: {count} ids start with it", "give more of the id")
    return matches[0]


def empty_store_error(store: Store) -> NothingMatched:
    """Return the error to raise if the store has no crash."""
    return NothingMatched(
        f"no crash has been collected in {store.root} yet", "`astbtd check-config` lists the watched directories"
    )


def _by_position(store: Store, position: int) -> str:
    ids = list(islice(store.newest_of_pbx(), position))
    if 1 <= position <= len(ids):
        return ids[position - 1]
    if not ids and not store.ids():
        raise empty_store_error(store)
    count = len(list(store.newest_of_pbx()))
    raise NothingMatched(f"there is no crash -{position}: the store {store.root} has {count}", _LIST_HINT)


@dataclass(frozen=True)
class _Replaces:
    """The part of a record that names the one that it has replaced."""

    replaces: ReplacedRecord | None = None


def find_replacing(store: Store, crash_id: str) -> str | None:
    """Return the crash that has replaced `crash_id`, the same without its core; None if there is none."""
    if not CRASH_ID.fullmatch(crash_id):
        return None
    with suppress(ValueError, OverflowError):  # digits that are no time
        for each in store.near(crash_time(crash_id), SAME_DEATH):
            with suppress(DamagedRecord):
                replaced = store.load_part(each, _Replaces).replaces
                if replaced and replaced.id == crash_id:
                    return each
    return None


def _by_prefix(ids: list[str], prefix: str) -> str:
    if len(prefix) < _SHORTEST_PREFIX:
        raise NothingMatched(f"{prefix!r} is too short for an id", f"give at least {_SHORTEST_PREFIX} characters")
    matches = [crash_id for crash_id in ids if crash_id.startswith(prefix)]
    if not matches:
        raise NothingMatched(f"no crash id starts with {prefix!r}", _LIST_HINT)
    if len(matches) > 1:
        raise NothingMatched(f"{prefix!r} is ambiguous: {len(matches)} ids start with it", "give more of the id")
    return matches[0]
