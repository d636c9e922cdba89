"""Determines a fact with a timeout. If that fails, the result is an `Unknown` with the reason."""

import time
from collections.abc import Callable
from typing import TypeVar

from astbtd.errors import AstbtdError
from astbtd.lib.threads import ThreadTask
from astbtd.readiness.result import NEEDS_ROOT, Unknown

SECONDS = 10.0
"""The timeout for one fact. A file server that is down never answers."""

_TICK = 0.25  # seconds

T = TypeVar("T")


def ask(what: str, function: Callable[[], T], seconds: float = SECONDS) -> T | Unknown:
    """Return the result of a function, or why there is none. `what` is the subject of that sentence."""
    try:
        return run_with_timeout(seconds, function)
    except PermissionError:
        return Unknown(f"{what}: permission denied", NEEDS_ROOT)
    except TimeoutError:
        return Unknown(f"{what}: no answer within {seconds:g} s")
    except (ProcessLookupError, FileNotFoundError):
        return Unknown(f"{what} does not exist")
    except OSError as error:
        return Unknown(f"{what} cannot be read: {error.strerror}")
    except AstbtdError as error:
        return Unknown(f"{what}: {error.message}", error.remedy or None)


def run_with_timeout(seconds: float, function: Callable[[], T], on_tick: Callable[[], None] = lambda: None) -> T:
    """Return or raise what the function does. Raise TimeoutError if it takes longer; it is then abandoned.

    `on_tick` is called a few times per second. The function runs in a daemon thread, which does not delay the end of
    the process: no signal interrupts a system call on a file system whose server is down.
    """
    task = ThreadTask("asking", function)
    deadline = time.monotonic() + seconds
    while not task.has_ended and time.monotonic() < deadline:
        task.wait(min(_TICK, seconds))
        on_tick()
    if not task.has_ended:
        raise TimeoutError
    return task.result()
