"""A crash loop, as people are told of it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CrashLoop:
    """So many crashes of one signature in quick succession, from the first to the last by crash time."""

    signature: str
    what: str
    since: datetime
    until: datetime
    crashes: int
