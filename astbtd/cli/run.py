"""`astbtd run`: the daemon."""

import argparse

from astbtd.cli.common import load_settings
from astbtd.errors import ExitCode


def add_arguments(_: argparse.ArgumentParser) -> None:
    """It has none of its own."""


def run(options: argparse.Namespace) -> ExitCode:
    """Runs the daemon until it is told to stop."""
    from astbtd.daemon import Daemon  # brings inotify and systemd, which no other verb needs

    Daemon(load_settings(options), lambda: load_settings(options)).run()
    return ExitCode.DONE
