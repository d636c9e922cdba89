"""What Sentry makes of an event: sentry-relay, its own normalizer, from PyPI (`make trackers`)."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PYTHON = Path(__file__).parents[2] / "build/trackers/relay/bin/python"
_PROGRAM = Path(__file__).with_name("relay_normalizer.py")
RELAY_IS_MISSING = not _PYTHON.exists()


@dataclass(frozen=True)
class Normalized:
    """A normalized event. `problems` is what Sentry finds wrong with it, or has changed."""

    event: dict[str, Any]

    @property
    def problems(self) -> list[str]:
        """What Sentry found wrong, shortened or removed; empty if nothing."""
        return [json.dumps(self.event[key]) for key in ("errors", "_meta") if self.event.get(key)]


def normalize(events: Sequence[dict[str, Any]]) -> list[Normalized]:
    """Return the events as Sentry would store them."""
    done = subprocess.run([_PYTHON, _PROGRAM], input=json.dumps(events), capture_output=True, text=True, check=True)
    return [Normalized(event) for event in json.loads(done.stdout)]
