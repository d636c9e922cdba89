"""`astbtd check-config`: is the configuration valid, and which directories are watched?"""

import argparse
import sys

from astbtd import settings
from astbtd.cli.common import add_json, load_settings, warn, write_json, write_text
from astbtd.errors import BadConfiguration, ExitCode
from astbtd.sources import watched_directories
from astbtd.sources.watched_directories import WatchedDirectories


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Print every error with its key path; the exit code is 78 if there is one."""
    try:
        loaded = load_settings(options)
    except BadConfiguration as error:
        if not options.json:
            raise
        write_json({"valid": False, "file": error.origin, "errors": error.problems, "watched": [], "not_watched": []})
        return error.exit_code
    found = watched_directories.find_current(loaded)
    if options.json:
        file = str(options.config or settings.DEFAULT_FILE)
        result = {"valid": True, "file": file, "errors": [], "watched": found.searched}
        write_json({**result, "not_watched": found.unwatched})
    else:
        _print_directories(found)
    return ExitCode.DONE


def _print_directories(found: WatchedDirectories) -> None:
    write_text("the configuration is valid\n")
    for directory in found.searched:
        collector = found.collections.get(directory)
        origin = f" (cores stored by {collector.name})" if collector else ""
        write_text(f"watched: {directory}{origin}\n")
    if not found.searched:
        write_text("no directory is watched: no Asterisk is running, and watch.directories is empty\n")
    sys.stdout.flush()  # before the warnings on standard error
    warn(f"not watched: {sentence}" for sentence in found.unwatched)
