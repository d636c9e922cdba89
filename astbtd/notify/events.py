"""What happened, as the policy sees it: an event has a redacted text for people, and what it is compared by."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """The kinds of event that people may be told about."""

    CRASH = "crash"
    FOREIGN_CRASH = "foreign crash"
    OLD_CORE = "old core"
    """A crash whose core waited for the first start of astbtd, or was recorded before notifications were set up."""
    LOOP_STARTED = "loop started"
    LOOP_ENDED = "loop ended"
    CHECK_FAILED = "check failed"
    DEADLOCK = "deadlock"


@dataclass(frozen=True)
class Event:
    """Something that happened at `at`.

    `key` is what it has in common with others of its kind: the signature of a crash, or its site if it is not grouped;
    the name of a check; the id of a capture. `title` is a line such as `Asterisk crashed: SIGSEGV in f`, `body` the
    text below it. `is_correction`: the crash was notified before, under another signature.
    """

    kind: EventKind
    key: str
    at: datetime
    title: str
    body: str
    is_correction: bool = False
