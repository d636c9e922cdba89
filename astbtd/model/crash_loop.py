"""A crash loop, as the daemon announces and saves it. A module of its own, because it is no part of a record."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CrashLoop:
    """Crashes at one site in quick succession; `since` and `until` are the first and the last crash time.

    `key` identifies the program, its user and the site. `signature` is the id of their signature, None if they have
    none. `what` is `Crash.what` of one of them.
    """

    key: str
    signature: str | None
    what: str
    since: datetime
    until: datetime
    crashes: int
