"""What the examination of one file finds: a core of Asterisk, one that is still being written, or none of the two."""

import os
from dataclasses import dataclass, field
from datetime import datetime

from astbtd.model.crash import CoreFacts, Source


@dataclass(frozen=True)
class Candidate:
    """A complete core of Asterisk, open at `descriptor`, which the receiver closes.

    If it is packed, `facts` are those from the beginning of the core, with the identity of the packed file.
    """

    descriptor: int
    directory: str
    name: str
    facts: CoreFacts
    source: str = Source.FILE
    packed: bool = False

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class OtherCore:
    """A core of a program that is not Asterisk. The name may be that of the PBX's core, which it has replaced then."""

    path: str
    program: str
    pid: int | None
    crashed_at: datetime


@dataclass(frozen=True)
class RefusedFile:
    """A file that looks like a core and is not collected, with a reason for people.

    `foreign`: the owner of the file is not a user of the PBX.
    """

    path: str
    reason: str
    other: OtherCore | None = field(default=None, compare=False)
    foreign: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class StillWritten:
    """A core that is still being written. If that is certain, it is open at `descriptor`, which the receiver closes."""

    path: str
    descriptor: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NotACoreFile:
    """A file that is not a core."""


@dataclass(frozen=True)
class Postponed:
    """A file that is to be examined later, with a reason for people."""

    path: str
    reason: str


Finding = Candidate | RefusedFile | StillWritten | NotACoreFile | Postponed
