"""What the running daemon tells other units about itself, in a file in the directory of its unit below /run.

The store says what has happened; this file says what happens now. systemd removes it when the daemon ends, however it
ends. Only root can read it.
"""

from dataclasses import dataclass

UNIT_DIRECTORY = "/run/astbtd"
"""RuntimeDirectory= of astbtd.service."""

STATE_FILE = "state.json"


LARGEST = 1 << 16
"""The largest size of the file in bytes."""


@dataclass(frozen=True)
class FailedCheck:
    """A check of `astbtd check` that fails: its name, what was found, and the remedy."""

    name: str
    found: str
    remedy: str


@dataclass(frozen=True)
class DaemonState:
    """The state of a running daemon.

    `queued`: claimed cores that wait to be processed. `more`: there are further cores, not claimed yet. `crash_loops`:
    how many crash loops last. `usable`: whether the next crash will give a usable backtrace, as the daemon's last
    `astbtd check` says; None if that is not known. `failed` are the checks that fail, None if they are not known yet.
    """

    queued: int
    more: bool
    crash_loops: int
    usable: bool | None
    failed: tuple[FailedCheck, ...] | None = None
