"""What crosses the spool, from the step that reads the store to the unit that has network access.

Only the fields of these dataclasses leave the machine. None of them has arguments, local variables, command lines or
other text of the crashed process, except `Message` and `texts`, which are redacted before they get here.
Times are aware datetimes in UTC. None means unknown.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from astbtd.errors import AstbtdError
from astbtd.lib.serialization import Decoder, json_text
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Kind, MemoryCorruption

LARGEST = 4 << 20
"""The largest notification that is read from the spool, in bytes."""

_ID_LENGTH = 32  # hexadecimal digits, as in the event ids of the Sentry protocol


class Audience(StrEnum):
    """Whom a sink serves: people read messages, an error tracker gets every crash and groups them itself."""

    PEOPLE = "people"
    TRACKER = "tracker"


class NotificationKind(StrEnum):
    """What a notification is about, which is also which of its parts is present."""

    CRASH = "crash"
    """One crash, for trackers. It has `crash`."""
    LOOP = "loop"
    """A crash loop, for trackers: one notification instead of one for each of its crashes. It has `loop`."""
    MESSAGE = "message"
    """A text for people. It has `message`."""
    TEST = "test"
    """A marked message, for any sink, which never passes through the spool. It has `message`."""


@dataclass(frozen=True)
class FrameFacts:
    """A stack frame. `module` is the path of the program or shared object, `build_id` is that object's."""

    function: str | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None
    build_id: str | None = None


@dataclass(frozen=True)
class SignatureFacts:
    """The signature of a crash, and its number among those with this signature, from 1 by crash time."""

    id: str
    text: str
    occurrence: int
    first_seen: datetime
    after_version: str | None = None


@dataclass(frozen=True)
class CrashFacts:
    """A crash. `frames` are those of the thread that crashed, innermost first; there are `frames_omitted` more.

    `version` is Asterisk's. `corrects`: the signature that this crash had when it was notified before, empty if it had
    none; it must not be counted again. `texts` are redacted texts of the crash by file name, empty unless the settings
    ask for them.
    """

    id: str
    crashed_at: datetime
    function: str | None
    signal: str | None
    version: str | None
    kind: Kind | None
    verdict: Verdict
    quality: float
    memory_corruption: MemoryCorruption | None
    foreign: bool
    signature: SignatureFacts | None = None
    site: str | None = None
    frames: tuple[FrameFacts, ...] = ()
    frames_omitted: int = 0
    corrects: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoopFacts:
    """Crashes of a crash loop, from `since` to `until`, of which trackers are told the number only.

    `crashes` is how many there were; none of them is notified by itself, or counted in another notification. `crash` is
    one of them; all have the same site. `is_over`: the loop has ended, so that no more will follow.
    """

    crash: CrashFacts
    since: datetime
    until: datetime
    crashes: int
    is_over: bool


@dataclass(frozen=True)
class Message:
    """A text for people: one line as subject, and a body. Both are redacted. `why` is why it is sent."""

    subject: str
    body: str
    why: str


@dataclass(frozen=True)
class Notification:
    """One unit of delivery. `id` is the same whenever the same thing is notified: 32 hexadecimal digits.

    `time` is when it happened, on `host`. `machine` tells apart machines of one name. `gap` is how many notifications
    before this one, for the same audience, were lost because the store or the spool had removed them.
    """

    id: str
    kind: NotificationKind
    time: datetime
    host: str
    machine: str
    crash: CrashFacts | None = None
    loop: LoopFacts | None = None
    message: Message | None = None
    gap: int = 0

    @property
    def audience(self) -> Audience:
        """Whom it is for."""
        is_for_people = self.kind in (NotificationKind.MESSAGE, NotificationKind.TEST)
        return Audience.PEOPLE if is_for_people else Audience.TRACKER

    def after_gap(self, lost: int) -> "Notification":
        """Return the same notification, with `lost` more that were lost before it."""
        return replace(self, gap=self.gap + lost)


def notification_id(machine: str, *what: str) -> str:
    """Return the id of a machine's notification about `what`, such as the ids of a crash and of its signature."""
    return hashlib.sha256("\0".join((machine, *what)).encode()).hexdigest()[:_ID_LENGTH]


def to_json(notification: Notification) -> bytes:
    """Return the content of a notification's file in the spool."""
    return json_text(notification).encode(errors="replace")


def from_json(content: bytes) -> Notification:
    """Return the notification with this content. Raise AstbtdError if it is not one."""
    decoder = Decoder(strict=True)
    try:
        decoded = decoder.decode(Notification, json.loads(content), "")
    except (ValueError, RecursionError) as error:
        raise AstbtdError(f"not a notification: {error}") from error
    if decoded is None:
        raise AstbtdError(f"not a notification: {'; '.join(decoder.problems)}")
    return decoded
