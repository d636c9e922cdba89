"""Remembers at what a unit that is started again and again has failed, so that it is logged once, not at each start.

The notes are in the directory of the unit below /run (systemd.exec(5), RuntimeDirectory=), which is in memory: they
work while a disk is full or damaged. When the machine has started again, what still fails is logged again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astbtd.lib import files, json_file

_DIRECTORY = "RUNTIME_DIRECTORY"
_MOST = 20
_LONGEST = 1000  # characters of a message
_LARGEST = 1 << 18  # bytes


@dataclass(frozen=True)
class NotedFailure:
    """A series of failed runs: the time of the first one, and the messages that were logged."""

    since: datetime
    messages: tuple[str, ...]


@dataclass(frozen=True)
class FailureNotes:
    """The notes about one step of a unit, in `file`. Without a file, every failure is logged."""

    file: Path | None

    def fail(self, message: str, now: datetime, log: Callable[[], None]) -> None:
        """Call `log`, unless this message was logged in the current series of failures. Then note it.

        Two messages that alternate are logged once each. What cannot be noted is logged each time.
        """
        shortened = message[:_LONGEST]
        noted = self.read() or NotedFailure(now, ())
        if shortened in noted.messages:
            return
        log()
        if self.file is not None:
            messages = (*noted.messages, shortened)[-_MOST:]
            with suppress(OSError):
                json_file.replace(self.file, NotedFailure(noted.since, messages), files.EVERYBODY_READS)

    def succeed(self, log: Callable[[NotedFailure], None]) -> None:
        """Call `log` if a series of failures is over, and forget it."""
        noted = self.read()
        if noted is None or self.file is None:
            return
        log(noted)
        with suppress(OSError):  # could not be noted, either
            self.file.unlink(missing_ok=True)

    def read(self) -> NotedFailure | None:
        """Return the series of failures that lasts; None if there is none, or if it cannot be read."""
        if self.file is None:
            return None
        with suppress(json_file.Damaged):
            return json_file.read(self.file, NotedFailure, _LARGEST)
        return None


def failure_notes(environment: Mapping[str, str], step: str) -> FailureNotes:
    """Return the notes about a step of the unit with this environment. Without a unit, nothing is noted."""
    directory = environment.get(_DIRECTORY)
    return FailureNotes(Path(directory) / f"{step}.json" if directory else None)
