"""`astbtd check-config`: is the configuration valid, and which directories are watched?"""

import argparse
import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from glob import has_magic

from astbtd import settings
from astbtd.cli.common import add_json, load_settings, warn, write_json, write_text
from astbtd.errors import BadConfiguration, ExitCode
from astbtd.settings import Settings
from astbtd.sources import watched_directories
from astbtd.sources.collectors.registry import COLLECTORS
from astbtd.sources.watched_directories import WatchedDirectories


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Print every error with its key path; the exit code is 78 if there is one."""
    try:
        loaded = load_settings(options)
        if missing := list(_find_missing(loaded)):
            raise BadConfiguration(str(options.config or settings.DEFAULT_FILE), missing)
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


def _find_missing(configured: Settings) -> Iterator[str]:
    """Yield an error for each user, program, file and directory that is configured but does not exist.

    Defaults are not examined: `astbtd check` reports what the machine lacks.
    """
    defaults = Settings()
    for index, user in enumerate(configured.asterisk.users):
        if not _user_exists(user):
            yield f"asterisk.users[{index}]: there is no user {user}"
    yield from _judge_gdb_user(configured.gdb.user)
    if configured.gdb.program != defaults.gdb.program and not shutil.which(configured.gdb.program):
        yield f"gdb.program: there is no executable program {configured.gdb.program}"
    for key, file, default in (
        ("asterisk.configuration", configured.asterisk.configuration, defaults.asterisk.configuration),
        ("notify.sentry.ca_file", configured.notify.sentry.ca_file, None),
    ):
        if file is not None and file != default and not os.path.lexists(file):
            yield f"{key}: {file} does not exist"
    for key, path in _directories(configured):
        if not has_magic(path) and not os.path.isdir(path):
            yield f"{key}: {path} is not a directory" if os.path.exists(path) else f"{key}: {path} does not exist"


def _judge_gdb_user(user: str) -> Iterator[str]:
    """Yield an error if the configured user of gdb does not exist, or is one that the daemon refuses."""
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        if user != Settings().gdb.user:
            yield f"gdb.user: there is no user {user}"
        return
    if uid == 0:
        yield "gdb.user: gdb must not run as root"


def _directories(configured: Settings) -> Iterator[tuple[str, str]]:
    """Yield the configured directories with their keys, except those that astbtd or Asterisk creates."""
    for key, paths in (("directories", configured.watch.directories), ("poll", configured.watch.poll)):
        yield from ((f"watch.{key}[{index}]", path) for index, path in enumerate(paths))
    if configured.gdb.container_root:
        yield "gdb.container_root", configured.gdb.container_root
    if configured.metrics != Settings().metrics:
        yield "metrics.textfile", configured.metrics.textfile
    for collector in COLLECTORS:
        directories = configured.collectors.directories(collector)
        if directories != collector.directories:
            for index, path in enumerate(directories):
                yield f"collectors.{collector.settings_key}[{index}]", path


def _user_exists(user: str) -> bool:
    try:
        pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        return False
    return True


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
