"""Lines for the log of a unit, on standard error: with a priority if systemd has connected that to the journal."""

import os
import sys
from collections.abc import Iterable

from astbtd.announce.journal import Priority


def log_lines(priority: Priority, lines: Iterable[str]) -> None:
    """Write lines to standard error, each with the prefix of sd-daemon(3) if they go to the journal.

    Each line is an entry of its own there, and has the unit's SyslogLevel= without a prefix.
    """
    prefix = f"<{priority:d}>" if stderr_is_the_journal() else ""
    sys.stderr.write("".join(f"{prefix}{line}\n" for line in lines))


def log_error(message: str, remedy: str) -> None:
    """Write an error as `astbtd` prints it, with what to do about it."""
    hint = [f"  hint: {remedy}"] if remedy else []
    log_lines(Priority.ERROR, [*f"astbtd: {message}".split("\n"), *hint])


def stderr_is_the_journal() -> bool:
    """Return whether systemd has connected standard error to the journal: JOURNAL_STREAM names that socket."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
