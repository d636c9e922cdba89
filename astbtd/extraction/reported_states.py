"""Reads what the script inside gdb reports of threads, trusting none of it: gdb may have been taken over."""

import json
from dataclasses import replace

from astbtd.lib.serialization import Decoder
from astbtd.model.deadlock_capture import ThreadState, ThreadStates

_LONGEST_NAME = 256


def read(data: bytes) -> ThreadStates:
    """The states in `data`; nothing known where it is not what the script writes."""
    try:
        document = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return ThreadStates()
    states = Decoder(strict=False).dataclass(ThreadStates, document, "") or ThreadStates()
    return ThreadStates(states.machine, tuple(map(_short, states.threads)))


def _short(state: ThreadState) -> ThreadState:
    return replace(state, symbol=state.symbol and state.symbol[:_LONGEST_NAME])
