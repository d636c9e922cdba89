"""The part of the model that listing and retention need. All other modules import it from astbtd.model.crash.

It is a module of its own because creating the other dataclasses takes longer than these commands need for their work:
importing this module takes 2 ms, importing astbtd.model.crash another 13 ms, and Python itself starts in 28 ms.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

SCHEMA = 2

CRASH_ID = re.compile(r"\d{8}T\d{6}Z-\d{1,10}-[0-9a-f]{6}")


class CoreState(StrEnum):
    """Where the core of a crash is."""

    CLAIMED = "claimed"
    KEPT = "kept"
    LEFT = "left"
    REMOVED = "removed"
    LOST = "lost"
    NONE = "none"


class Section(StrEnum):
    """A section of the extracted text. The value is the name of its file in the directory of the crash."""

    BACKTRACE = "backtrace.txt"
    THREAD1 = "thread1.txt"
    BRIEF = "brief.txt"
    FULL = "full.txt"
    LOCKS = "locks.txt"
    INFO = "info.txt"
    LOG = "gdb.log"


REPORT_FILE = "report.txt"
LOG_FILE = "log.txt"
RECORD_FILE = "crash.json"
KEPT_CORE_FILE = "core.zst"
OBJECTS_SUFFIX = ".objects"
"""The suffix of the directory with copies of objects, beside that in which a crash is made; its id precedes it."""


class Verdict(StrEnum):
    """Whether the backtrace is good enough for a developer."""

    USABLE = "usable"
    PARTIAL = "partial"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class ReplacedRecord:
    """A record of the same death without its core, which was removed when the core was found: its id, and its site's.

    `site` is None if the kernel logged no site.
    """

    id: str
    site: str | None = None


@dataclass(frozen=True)
class CrashSignature:
    """The signature of a crash, and its number among the crashes with this signature, from 1 by crash time.

    `after_version`: the version of Asterisk in the last crash before the first one with this signature, if different.
    `rule`: the rule that decided it, with the version of the rules: `function/2`; None in records of schema 1.
    """

    id: str
    text: str
    occurrence: int
    first_seen: datetime
    after_version: str | None = None
    rule: str | None = None
