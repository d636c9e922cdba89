"""What delivery and the sinks agree on: a sink sends some notifications, and says which the server has accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from astbtd.notify.payload import Audience, Notification


@dataclass(frozen=True)
class Retry:
    """The server could not be reached, or does not accept anything now. `reason` is for people.

    `after`: the server asks for a pause of this many seconds (HTTP: Retry-After), None if it does not say.
    """

    reason: str
    after: float | None = None


@dataclass(frozen=True)
class Refused:
    """The server will never accept this notification, whatever its repetition: it is logged and left out."""

    reason: str


@dataclass(frozen=True)
class Outcome:
    """What became of the notifications of one call: the server has accepted the first `accepted` of them.

    `problem` is what happened to the next one; None if there is none. `answer` is what the server said last, in a line.
    `remark` is worth a line in the log, once, although they were accepted: one of several recipients is unknown.
    """

    accepted: int
    problem: Retry | Refused | None = None
    answer: str = ""
    remark: str = ""


class Sink(Protocol):
    """Where notifications are delivered. Every call makes its own connection, and waits for the server's answer.

    A sink keeps no notification: what it has not reported as accepted is given to it again, perhaps by another process
    after a kill. The id of a notification lets the server recognize what it already has.
    """

    @property
    def name(self) -> str:
        """The name of the sink, as in the settings below `notify`: letters, digits and `-`."""
        ...

    @property
    def audience(self) -> Audience:
        """Which notifications it gets. A notification of the kind TEST goes to any sink."""
        ...

    @property
    def batch(self) -> int:
        """How many notifications one call gets at most. The mark of the sink moves after each call."""
        ...

    def deliver(self, notifications: Sequence[Notification]) -> Outcome:
        """Send the notifications in this order, until one is not accepted.

        A failure of the network or of the server is an Outcome. Raise AstbtdError if the sink itself cannot work: its
        credentials are unreadable, a package is missing. The notifications are kept then.
        """
        ...
