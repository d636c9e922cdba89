"""Asks for a fact and waits no longer than a person would: what hangs or is forbidden is Unknown."""

import time
from collections.abc import Callable
from typing import TypeVar

from astbtd.errors import AstbtdError
from astbtd.lib.threads import OwnThread
from astbtd.readiness.result import NEEDS_ROOT, Unknown

SECONDS = 10.0
"""How long one question may take; a file server that is gone never answers."""

_MEANWHILE = 0.25  # seconds

T = TypeVar("T")


def known(what: str, ask: Callable[[], T], seconds: float = SECONDS) -> T | Unknown:
    """The answer, or why there is none; `what` begins the sentence."""
    try:
        return within(seconds, ask)
    except PermissionError:
        return Unknown(f"{what} cannot be read without being root", NEEDS_ROOT)
    except TimeoutError:
        return Unknown(f"{what}: no answer within {seconds:g} s")
    except (ProcessLookupError, FileNotFoundError):
        return Unknown(f"{what} is not there")
    except OSError as error:
        return Unknown(f"{what} cannot be read: {error.strerror}")
    except AstbtdError as error:
        return Unknown(f"{what}: {error.message}", error.remedy or None)


def within(seconds: float, ask: Callable[[], T], meanwhile: Callable[[], None] = lambda: None) -> T:
    """What `ask` returns or raises; TimeoutError where it takes longer, and then it is left to itself.

    `meanwhile` is called now and then.

    It runs in a thread that the process does not wait for when it ends: no signal ends a call into a file system
    whose server is gone, and no other thread has to wait with it.
    """
    asked = OwnThread("asking", ask)
    deadline = time.monotonic() + seconds
    while not asked.has_ended and time.monotonic() < deadline:
        asked.wait(min(_MEANWHILE, seconds))
        meanwhile()
    if not asked.has_ended:
        raise TimeoutError
    return asked.result()
