"""The `astbtd` command: reads the command line, runs one verb, turns every failure into a message and an exit code.

It imports little: dataclasses, pathlib and typing take longer to load than all the rest of `astbtd --help`.
"""

import argparse
import errno
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType

from astbtd import __version__
from astbtd.errors import AstbtdError, ExitCode

_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_INTERRUPTED = 130  # what a shell reports for SIGINT
_OBJECTS_BEFORE_COLLECTION = (
    50_000  # loading makes thousands that stay; looking through them takes a twentieth of `list`
)

_EPILOG = """\
ID is a full id, a unique prefix of one, 'latest', or -N for the N-th newest.

exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing matched, 4 not usable, 78 bad configuration
"""


class Verb:
    """One verb, its help, and the module that runs it: `astbtd.cli.<module>` with `add_arguments` and `run`."""

    def __init__(self, module: str, summary: str) -> None:
        self.module = module
        self.help = summary


VERBS = {
    "run": Verb("run", "the daemon, in the foreground"),
    "extract": Verb("extract", "process these cores now, store them, print where"),
    "list": Verb("list", "the crashes in the store, newest first"),
    "show": Verb("show", "the report of one crash (default: the newest)"),
    "top": Verb("top", "the signatures by how often they crashed, since when, in which versions"),
    "diagnose": Verb("diagnose", "the verdict over backtrace text from anywhere"),
    "deadlock": Verb("deadlock", "capture a running Asterisk, and name who waits for whom"),
    "core": Verb("core", "write a kept core out again, decompressed"),
    "bundle": Verb("bundle", "the texts of crashes in one file for an issue tracker, without cores"),
    "pin": Verb("pin", "exempt a crash from retention"),
    "unpin": Verb("pin", "let retention have a crash again"),
    "prune": Verb("prune", "apply retention now"),
    "check": Verb("check", "will the next crash give a usable backtrace?"),
    "fsck": Verb("fsck", "examine the store, explain what is wrong, repair what is safe"),
    "check-config": Verb("check_config", "validate the configuration, all errors at once"),
}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal; asks it without shutil, which argparse loads for every option, shown or not."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (ValueError, OSError):  # it is no terminal
        return 80


def command() -> None:
    """`main` as a process, which it ends: what Python tidies up at its own end is an eighth of `astbtd list`."""
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser(given).parse_args(given)
        status = int(_module(options.verb).run(options))
        sys.stdout.flush()
        return status
    except AstbtdError as error:
        remedy = f"\n  what helps: {error.remedy}" if error.remedy else ""
        sys.stderr.write(f"astbtd: {error.message}{remedy}\n")
        return error.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        if error.errno not in _OF_A_DISK:
            raise
        sys.stderr.write(f"astbtd: cannot write {error.filename or 'the output'}: {error.strerror}\n")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Only the verb that is asked for gets its parser and loads its module: `--help` and `list` are to be quick."""
    parser = argparse.ArgumentParser(
        prog="astbtd",
        description="Collects, explains and keeps the backtraces of a crashed Asterisk.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"astbtd {__version__}")
    _add_common(parser, None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, prog=parser.prog)
    asked_for = {name: VERBS[name] for name in given if name in VERBS}
    for name, verb in (asked_for or VERBS).items():
        description = f"astbtd {name}: {verb.help}."
        one = verbs.add_parser(
            name, help=verb.help, description=description, epilog=_EPILOG, formatter_class=_Formatter
        )
        _add_common(one, argparse.SUPPRESS)
        if asked_for:
            _module(name).add_arguments(one)
    return parser


def _add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The options that may stand before or after the verb."""
    parser.add_argument(
        "--config", metavar="FILE", type=_path, default=default, help="the configuration (default: /etc/astbtd.yaml)"
    )
    parser.add_argument(
        "--store", metavar="DIR", type=_path, default=default, help="the store (as configured, or /var/lib/astbtd)"
    )


def _path(name: str) -> object:
    from pathlib import Path

    return Path(name)


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"astbtd.cli.commands.{VERBS[verb].module}")
