"""Asks a running Asterisk for its own list of locks, `core show locks`, which it has with DEBUG_THREADS only."""

from pathlib import Path

from astbtd.asterisk import console
from astbtd.model.deadlock_capture import LocksCli

_UNKNOWN_COMMAND = "No such command"


def listed(path: Path, pid: int, seconds: float) -> tuple[LocksCli, str]:
    """Whether it listed them, and what it said. It may hang in the very deadlock that it is to show."""
    answer = console.ask_patiently(str(path), pid, "core show locks", seconds)
    if not answer.in_time:
        said = f"{answer.text}\n" if answer.text else ""
        return LocksCli.TIMEOUT, f"{said}`core show locks` was not answered within {seconds:g} s.\n"
    if not answer.text:
        return LocksCli.UNAVAILABLE, f"`core show locks` cannot be asked: {answer.why_not or 'no answer'}\n"
    known = not answer.text.startswith(_UNKNOWN_COMMAND)
    return (LocksCli.OK if known else LocksCli.UNAVAILABLE), answer.text
