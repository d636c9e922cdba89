"""The exceptions of astbtd: each has a message, a remedy and an exit code."""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the `astbtd` command. Scripts rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOTHING_MATCHED = 3
    NOT_USABLE = 4
    BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


class AstbtdError(Exception):
    """An operation failed. `message` says which and why, `remedy` what the reader can do about it."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(AstbtdError):
    """The command line is invalid."""

    exit_code = ExitCode.USAGE


class NothingMatched(AstbtdError):
    """No crash matches what the user specified."""

    exit_code = ExitCode.NOTHING_MATCHED


class BadConfiguration(AstbtdError):
    """The configuration is invalid. `problems` has all errors, each with its key path; `origin` is the file name."""

    exit_code = ExitCode.BAD_CONFIGURATION

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        super().__init__(
            "\n  ".join([f"{origin}: {count}", *problems]),
            "correct the configuration, then run `astbtd check-config`",
        )
        self.origin = origin
        self.problems = tuple(problems)


class NoRoom(AstbtdError):
    """Writing would leave less free disk space than the reserve, or the disk is full."""


class Interrupted(AstbtdError):
    """Work was interrupted because the daemon is stopping. It is resumed at the next start."""
