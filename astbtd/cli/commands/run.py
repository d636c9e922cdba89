"""`astbtd run`: the daemon."""

import argparse
import gc
import os
import resource
import sys

from astbtd.cli.common import load_settings
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib.escaping import printable_line

_GC_THRESHOLD = 700
"""Python's default. The other verbs raise it, but in a process that runs for months, garbage would add up."""


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing: this verb has no options of its own."""


def run(options: argparse.Namespace) -> ExitCode:
    """Run the daemon until SIGTERM."""
    from astbtd.daemon.main_loop import Daemon  # imports inotify and systemd, which no other verb needs

    _raise_descriptor_limit()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    try:
        daemon = Daemon(load_settings(options), lambda: load_settings(options), _check_command(options))
        daemon.run()
    except AstbtdError as error:
        if not _report_failure(error):
            raise
        return error.exit_code
    return ExitCode.DONE


def _report_failure(error: AstbtdError) -> bool:
    """Show an error in the status of the unit; return whether it was also logged, with priority err.

    By default, what a unit writes to standard error has no priority, and each line is an entry of its own: hence one
    line with the prefix of sd-daemon(3). The journal's socket would not do: the journal cannot tell to which unit an
    entry belongs if its sender has ended.
    """
    from astbtd.announce import journal, systemd
    from astbtd.cli.stderr_log import log_lines, stderr_is_the_journal

    hint = f" (hint: {error.remedy})" if error.remedy else ""
    line = printable_line("; ".join(part.strip() for part in error.message.split("\n")) + hint)
    systemd.notify(f"STATUS=failed: {line}")
    if not stderr_is_the_journal():
        return False
    log_lines(journal.Priority.ERROR, [f"failed: {line}"])
    return True


def _raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard limit: each queued core takes two descriptors.

    The soft limit is low for the sake of programs that call select(2), which the daemon does not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_command(options: argparse.Namespace) -> list[str]:
    """Return the command line of `astbtd check` with the same configuration and store, for any working directory."""
    command = [sys.executable, "-I", "-m", "astbtd", "check", "--json"]
    for option, path in (("--config", options.config), ("--store", options.store)):
        if path:
            command += [option, os.path.abspath(path)]
    return command
