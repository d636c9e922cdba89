"""What the step that reads the store remembers from pass to pass: one file, whose replacement commits a pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import json_file
from astbtd.notify.loops import RecentSite
from astbtd.notify.message_policy import PolicyState


@dataclass(frozen=True)
class ReaderState:
    """What of the store was notified.

    `crashes` has each crash of the store by id, with its signature and the number of its extractions, as `notified`
    writes them. `highest` is the highest occurrence of each signature. `captures` are the ids of the captures. `sites`
    are those with recent crashes, by key. `foreign` are the times at which foreign crashes were given to trackers.
    `read_at` is the start of the last pass. `removed` is the number of the last record in the list of those that
    retention has removed.
    """

    crashes: Mapping[str, str] = field(default_factory=dict)
    highest: Mapping[str, int] = field(default_factory=dict)
    captures: tuple[str, ...] = ()
    sites: Mapping[str, RecentSite] = field(default_factory=dict)
    foreign: tuple[datetime, ...] = ()
    read_at: datetime | None = None
    removed: int = 0

    @property
    def is_first(self) -> bool:
        """True before the first pass."""
        return self.read_at is None


@dataclass(frozen=True)
class SpoolState:
    """The whole state. `generation` is the number of the last committed pass.

    `lost` are the notifications that were lost and are not told of yet, by audience. Entries of the spool up to
    `dropped` are to be removed, because there were too many.
    """

    generation: int = 0
    reader: ReaderState = field(default_factory=ReaderState)
    policy: PolicyState = field(default_factory=PolicyState)
    lost: Mapping[str, int] = field(default_factory=dict)
    dropped: str = ""


UNREAD = "?"
"""What is remembered of a crash whose record could not be read. It is notified as soon as it can be read."""


def notified(signature: str | None, extractions: int) -> str:
    """Return what is remembered of a crash that was notified."""
    return f"{signature or '-'}/{extractions}"


def parse_notified(text: str) -> tuple[str | None, int]:
    """Return the signature and the number of extractions that are remembered."""
    signature, _, extractions = text.partition("/")
    return (None if signature == "-" else signature), int(extractions) if extractions.isdigit() else 0


def read_state(path: Path) -> SpoolState:
    """Read the state; a new one if there is none. Raise AstbtdError if it is damaged or unreadable.

    A damaged state is not replaced by a new one: everything would be notified again.
    """
    try:
        return json_file.read(path, SpoolState)
    except json_file.Missing:
        return SpoolState()
    except json_file.Damaged as error:
        remedy = f"if the disk is healthy, remove {path}: what is in the store then counts as old, and is one message"
        raise AstbtdError(f"cannot read the state of the notifications: {error.message}", remedy) from error


def write_state(path: Path, state: SpoolState) -> None:
    """Replace the state, durably. Raise OSError."""
    json_file.replace(path, state)
