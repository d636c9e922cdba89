"""The diagnosis of a backtrace: part of crash.json, and what `astbtd diagnose --json` prints."""

from dataclasses import dataclass
from enum import StrEnum

from astbtd.model.record_summary import Verdict


class MemoryCorruption(StrEnum):
    """Whether the crashed thread indicates corrupted memory."""

    NONE = "none"
    LIKELY = "likely"
    CERTAIN = "certain"


class Kind(StrEnum):
    """What a text or a record is about."""

    CRASH = "crash"
    SENT = "sent"
    """A signal that another process sent: not a fault of Asterisk."""
    ASSERTION = "assertion"
    """A failed assertion after which the process continued."""
    LIVE = "live"
    """A dump of a running process in which nothing waits for a lock."""
    DEADLOCK = "deadlock"
    SANITIZER = "sanitizer"
    VALGRIND = "valgrind"
    LEAK = "leak"
    LOG = "log"
    """Log lines without frames."""
    INCOMPLETE = "incomplete"
    """The crashed thread is missing."""
    NOTHING = "nothing"


@dataclass(frozen=True)
class Signature:
    """What crashes of the same bug have in common. `id` is 12 hexadecimal digits, a hash of `text`."""

    id: str
    text: str


@dataclass(frozen=True)
class DecidedSignature(Signature):
    """A signature, and the name of the rule in diagnosis/words/signature.toml that decided it."""

    rule: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of a backtrace. The fields are those of `astbtd diagnose --json`."""

    signal: str | None
    crash_thread: int | None
    top_frame: str | None
    crash_function: str | None
    threads: int
    frames: int
    optimized: bool
    missing_symbols: bool
    memory_corruption: MemoryCorruption | None
    debug_threads: bool
    deadlock: bool | None
    quality: float
    verdict: Verdict
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    signature: DecidedSignature | None
    kind: Kind | None = None
    headline: str | None = None
    """What happened, in one line; None in records of earlier versions."""
