"""`astbtd run`: the daemon."""

import argparse
import gc
import os
import resource
import sys

from astbtd.cli.common import load_settings
from astbtd.errors import ExitCode

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
    daemon = Daemon(load_settings(options), lambda: load_settings(options), _check_command(options))
    daemon.run()
    return ExitCode.DONE


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
