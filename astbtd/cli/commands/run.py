"""`astbtd run`: the daemon."""

import argparse
import gc
import os
import resource
import sys
from importlib.util import find_spec

from astbtd.cli.common import load_settings
from astbtd.errors import ExitCode

_OBJECTS_BEFORE_COLLECTION = 700
"""As Python has it by itself: unlike the other verbs, the daemon lives so long that what it has let go of adds up."""


def add_arguments(_: argparse.ArgumentParser) -> None:
    """It has none of its own."""


def run(options: argparse.Namespace) -> ExitCode:
    """Runs the daemon until it is told to stop."""
    _do_without_openssl()
    from astbtd.daemon.main_loop import Daemon  # brings inotify and systemd, which no other verb needs

    _raise_limits()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    Daemon(load_settings(options), lambda: load_settings(options), _check(options)).run()
    return ExitCode.DONE


def _do_without_openssl() -> None:
    """Has Python hash by itself the few bytes that there are to hash: OpenSSL would take three megabytes of memory."""
    if any(map(find_spec, ("_sha256", "_sha2"))):  # the module's name up to Python 3.11, and since; not all have it
        sys.modules["_hashlib"] = None  # type: ignore[assignment] # so hashlib does without it


def _raise_limits() -> None:
    """Each core that waits takes two descriptors; the lower limit is for those who use select(2), which we do not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check(options: argparse.Namespace) -> list[str]:
    """The command line of `astbtd check` under the same options, for a program that starts it in any directory."""
    given = (("--config", options.config), ("--store", options.store))
    same = [word for name, path in given if path for word in (name, os.path.abspath(path))]
    return [sys.executable, "-I", "-m", "astbtd", "check", "--json", *same]
