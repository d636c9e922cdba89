"""Runs a step of a unit that a timer starts again and again: a failure is logged once, and once when it is over."""

import os
from collections.abc import Callable
from datetime import UTC, datetime

from astbtd.announce.journal import Priority
from astbtd.cli.stderr_log import log_error, log_lines
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib import files
from astbtd.lib.failure_notes import NotedFailure, failure_notes
from astbtd.lib.quantities import format_duration


def run_repeated(name: str, what: str, step: Callable[[], None]) -> ExitCode:
    """Run a step, and return the exit code, that of the error if it fails. `what` is what the step does, for people.

    The unit counts these exit codes as success, because systemd would log a failed start each time.
    """
    notes = failure_notes(os.environ, name)
    try:
        with files.wrap_os_error(f"{what} failed"):
            step()
    except AstbtdError as error:
        message, remedy = error.message, error.remedy
        notes.fail(message, datetime.now(UTC), lambda: log_error(message, remedy))
        return error.exit_code
    notes.succeed(lambda failure: _log_recovery(what, failure))
    return ExitCode.DONE


def _log_recovery(what: str, failure: NotedFailure) -> None:
    duration = format_duration(max(0.0, (datetime.now(UTC) - failure.since).total_seconds()))
    log_lines(Priority.NOTICE, [f"astbtd: {what} works again, after {duration}"])
