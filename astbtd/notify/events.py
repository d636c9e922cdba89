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


class Correction(StrEnum):
    """Why a crash that was notified before is notified again. The value is the reason as people read it."""

    EXTRACTION = "a signature that a repeated extraction has corrected"
    LATE_CORE = "the core of a crash that was told of without one"


@dataclass(frozen=True)
class Event:
    """Something that happened at `at`.

    `key` is what it has in common with others of its kind: the signature of a crash, or its site if it is not grouped;
    the name of a check; the id of a capture. `title` is a line such as `Asterisk crashed: SIGSEGV in f`, `body` the
    text below it. `correction`: the crash was notified before, under another signature.
    """

    kind: EventKind
    key: str
    at: datetime
    title: str
    body: str
    correction: Correction | None = None
