"""Normalizes events as Sentry does when it receives them: the program that the environment of sentry-relay runs.

Reads a list of events as JSON from standard input, prints the list of normalized events. What Sentry finds wrong with
an event is in its members `errors` and `_meta`.
"""

import json
import sys

from sentry_relay.exceptions import InvalidReleaseErrorBadCharacters
from sentry_relay.processing import StoreNormalizer, parse_release

_MOST_DAYS = 30
_MOST_SECONDS_AHEAD = 60


def main() -> None:
    """Normalize."""
    normalizer = StoreNormalizer(
        max_secs_in_past=_MOST_DAYS * 86_400, max_secs_in_future=_MOST_SECONDS_AHEAD, remove_other=True
    )
    normalized = [normalizer.normalize_event(event) for event in json.load(sys.stdin)]
    for event in normalized:
        event["parsed_release"] = _parse(event.get("release"))
    json.dump(normalized, sys.stdout)


def _parse(release: str | None) -> object:
    try:
        return parse_release(release) if release else None
    except InvalidReleaseErrorBadCharacters:
        return None


if __name__ == "__main__":
    main()
