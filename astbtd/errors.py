"""The one way in which anything in astbtd fails: what happened, what to do about it, with which exit code."""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the `astbtd` command; scripts rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOTHING_MATCHED = 3
    NOT_USABLE = 4
    BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


class AstbtdError(Exception):
    """Something could not be done. `message` says what, `remedy` what the reader can do about it."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(AstbtdError):
    """The command line asks for something that makes no sense."""

    exit_code = ExitCode.USAGE


class NothingMatched(AstbtdError):
    """No crash is named by what the user gave."""

    exit_code = ExitCode.NOTHING_MATCHED


class BadConfiguration(AstbtdError):
    """The configuration cannot be used; `problems` holds every error, each with its key path."""

    exit_code = ExitCode.BAD_CONFIGURATION

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        super().__init__(
            "\n  ".join([f"{origin}: {count}", *problems]),
            "correct them, then run `astbtd check-config`",
        )
        self.origin = origin
        self.problems = tuple(problems)


class NoRoom(AstbtdError):
    """Writing would leave less free disk than the reserve, or the disk is full already."""


class Interrupted(AstbtdError):
    """The work was set aside because the daemon stops; it is taken up again at the next start."""
