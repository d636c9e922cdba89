"""When a sink that fails is tried again, and when no more. Pure."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from astbtd.notify.sink_state import SinkState
from astbtd.notify.sinks.base import Retry

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(hours=6)
GIVE_UP = timedelta(days=7)

_LONGEST_PAUSE = timedelta(days=1)  # that a server can ask for
_JITTER = 0.25
_MOST_DOUBLINGS = 16


def delay(attempts: int, after: float | None, random: Callable[[], float]) -> timedelta:
    """Return the time until the next attempt, after this number of failed ones in a row.

    It doubles from one minute to six hours. After an outage, jitter keeps many machines from coming at once: `random`
    returns a number from 0 to 1. A server may ask for a longer pause of `after` seconds.
    """
    doublings = max(0, min(attempts - 1, _MOST_DOUBLINGS))
    base = SHORTEST * (1 << doublings)
    own = min(LONGEST, base * (1 + _JITTER * random()))
    asked = timedelta(seconds=min(after, _LONGEST_PAUSE.total_seconds())) if after and after > 0 else timedelta()
    return max(own, asked)


def is_due(state: SinkState, now: datetime, newest: str) -> bool:
    """Return whether a sink may be tried now; `newest` is the newest entry that waits for it.

    A next attempt that is further away than any delay was computed by a wrong clock.
    """
    if state.given_up is not None and newest <= state.given_up:
        return False
    return state.next_attempt is None or not timedelta(0) < state.next_attempt - now <= _LONGEST_PAUSE


def begin_attempt(state: SinkState, now: datetime, random: Callable[[], float]) -> SinkState:
    """Return the state to save before an attempt: if the process is killed in it, the attempt counts as failed."""
    attempts = state.attempts + 1
    return replace(
        state,
        attempts=attempts,
        failing_since=state.failing_since or now,
        next_attempt=now + delay(attempts, None, random),
    )


def fail(state: SinkState, problem: Retry, now: datetime, newest: str, random: Callable[[], float]) -> SinkState:
    """Return the state of a sink after a failed attempt, which `begin_attempt` has counted."""
    since = state.failing_since or now
    has_expired = now - since >= GIVE_UP
    return replace(
        state,
        failing_since=since,
        failures=state.failures + 1,
        reason=problem.reason,
        next_attempt=now + delay(state.attempts, problem.after, random),
        given_up=newest if has_expired else None,
    )


def succeed(state: SinkState, mark: str, delivered: int) -> SinkState:
    """Return the state of a sink after `delivered` notifications up to the entry `mark` were accepted."""
    return replace(
        state,
        mark=mark,
        delivered=state.delivered + delivered,
        failing_since=None,
        attempts=0,
        reason="",
        next_attempt=None,
        given_up=None,
    )
