"""`astbtd check-config`: is the configuration valid, and does it reach all places where cores can be?"""

import argparse
import sys

from astbtd import settings
from astbtd.cli.common import add_json, load_settings, warn, write, write_json
from astbtd.errors import BadConfiguration, ExitCode
from astbtd.sources import watched_directories


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Prints every error with its key path; exit code 78 if there is one."""
    try:
        loaded = load_settings(options)
    except BadConfiguration as error:
        if not options.json:
            raise
        write_json({"valid": False, "file": error.origin, "errors": error.problems, "watched": [], "not_watched": []})
        return error.exit_code
    found = watched_directories.current(loaded)
    if options.json:
        file = options.config or settings.DEFAULT_FILE
        written = {"valid": True, "file": str(file), "errors": [], "watched": found.searched}
        write_json({**written, "not_watched": found.unwatched})
        return ExitCode.DONE
    write("the configuration is valid\n")
    for directory in found.searched:
        collector = found.collected.get(directory)
        write(f"watched: {directory}{f' (what {collector.source} keeps)' if collector else ''}\n")
    if not found.searched:
        write("nothing is watched: no Asterisk runs here, and watch.directories is empty\n")
    sys.stdout.flush()
    warn(f"not watched: {what}" for what in found.unwatched)
    return ExitCode.DONE
