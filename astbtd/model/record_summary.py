"""The part of the model that listing and retention do with: all of it takes as long to load as Python does to start.

Everybody else has it from astbtd.model.crash.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

SCHEMA = 1

CRASH_ID = re.compile(r"\d{8}T\d{6}Z-\d{1,10}-[0-9a-f]{6}")


class CoreState(StrEnum):
    """Where the core is now."""

    CLAIMED = "claimed"
    KEPT = "kept"
    LEFT = "left"
    REMOVED = "removed"
    LOST = "lost"


class Section(StrEnum):
    """A text of a crash; the value is the name of its file in the crash's directory."""

    BACKTRACE = "backtrace.txt"
    THREAD1 = "thread1.txt"
    BRIEF = "brief.txt"
    FULL = "full.txt"
    LOCKS = "locks.txt"
    INFO = "info.txt"
    LOG = "gdb.log"


REPORT_FILE = "report.txt"
RECORD_FILE = "crash.json"
KEPT_CORE_FILE = "core.zst"


class Verdict(StrEnum):
    """Whether a developer can work with the backtrace."""

    USABLE = "usable"
    PARTIAL = "partial"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class CrashSignature:
    """A crash's signature and its place among the crashes that share it, counted from 1 by crash time.

    `after_version`: the version of Asterisk that crashed last before the first of them, if that was another one.
    """

    id: str
    text: str
    occurrence: int
    first_seen: datetime
    after_version: str | None = None
