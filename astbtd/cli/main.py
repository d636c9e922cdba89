"""The `astbtd` command: parses the command line, runs one verb, turns failures into messages and exit codes.

Imports are kept to a minimum: dataclasses, pathlib and typing take longer to load than the rest of `astbtd --help`.
"""

import argparse
import errno
import gc
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

from astbtd import __version__
from astbtd.cli.terminal import escaped_streams
from astbtd.errors import AstbtdError, ExitCode

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_CLOSED_STREAM = errno.EBADF  # of a program started with `>&-`
_PERMISSION_ERRORS = (errno.EACCES, errno.EPERM)
_INTERRUPTED = 130  # the exit code that shells report for SIGINT

# Loading modules creates thousands of objects that stay alive. Searching them for garbage would take a twentieth of
# the time of `astbtd list`, so the first collection comes late.
_GC_THRESHOLD = 50_000

_EPILOG = """\
ID is a full id, a unique prefix of an id, 'latest', or -N for the N-th newest.

exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing matched, 4 not usable, 78 bad configuration
"""


class Verb:
    """A verb, its help text, and its module: `astbtd.cli.commands.<module>` with `add_arguments` and `run`."""

    def __init__(self, module: str, help_text: str) -> None:
        self.module = module
        self.help = help_text


VERBS = {
    "run": Verb("run", "run the daemon in the foreground"),
    "extract": Verb("extract", "process the given cores now, store the results, print their directories"),
    "list": Verb("list", "list the crashes in the store, newest first"),
    "show": Verb("show", "show the report of one crash (default: the newest)"),
    "top": Verb("top", "list signatures by number of crashes, with first and last crash, versions and trend"),
    "diagnose": Verb("diagnose", "assess backtrace text from any source"),
    "deadlock": Verb("deadlock", "capture a running Asterisk and show which threads wait for which"),
    "core": Verb("core", "write a kept core to a file, decompressed"),
    "debug": Verb("debug", "run gdb on a kept core, with the objects and debug files of its build"),
    "export": Verb("export", "pack a crash with core, program and debug files for a developer: never for the public"),
    "bundle": Verb("bundle", "pack the text files of crashes for an issue tracker, without cores"),
    "report": Verb(
        "report_issue", "print the address of a pre-filled issue in Asterisk's tracker, and of a search there"
    ),
    "symbols": Verb("symbols", "download debug files that the daemon asks for (for its unit)"),
    "metrics": Verb("metrics", "write the figures of the store for Prometheus' node exporter (for its unit)"),
    "notify": Verb("notify", "test notifications by mail and chat, show what would be sent, or their state"),
    "pin": Verb("pin", "exempt a crash from retention"),
    "unpin": Verb("pin", "make a crash subject to retention again"),
    "prune": Verb("prune", "apply retention now"),
    "check": Verb("check", "check that the next crash will give a usable backtrace"),
    "fsck": Verb("fsck", "check the store for errors and repair what is safe to repair"),
    "check-config": Verb("check_config", "validate the configuration and report all errors at once"),
}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Formats help to the width of the terminal, without importing shutil as argparse does for every option."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_terminal_columns() - 2)


def _terminal_columns() -> int:
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (ValueError, OSError):  # standard output is not a terminal
        return 80


def command() -> None:
    """Run `main` and exit with its exit code: the entry point of the installed program."""
    code = main()
    gc.freeze()  # or the interpreter would search all objects for garbage before it ends: 30 ms of `astbtd extract`
    sys.exit(code)


def _print_traceback() -> None:
    """Print an internal error while the streams are escaped: its message may contain anything."""
    import traceback  # not needed unless there is an internal error

    traceback.print_exc()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: that of the process) and return the exit code.

    Raises SystemExit after `--help`, `--version` and wrong usage, as argparse does.
    """
    gc.set_threshold(_GC_THRESHOLD)
    with escaped_streams():
        try:
            return _run(arguments)
        except Exception:
            _print_traceback()
            return ExitCode.FAILED


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line, and turn errors into messages and exit codes."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "run" in given:
        _hold_back_reload()
    try:
        try:
            return _run_verb(given)
        finally:
            # Flush here, where a failure can be reported. The interpreter would flush at exit, and exit with 120.
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, for example `head`, has exited
        _discard_output()
        return ExitCode.DONE
    except OSError as error:
        _print_os_error(error)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _print_os_error(error: OSError) -> None:
    """Print what went wrong. Raise the error again if it is not the fault of the environment."""
    if error.errno in _PERMISSION_ERRORS:
        print_error(f"permission denied: {error.filename or error.strerror}", "use sudo")
    elif error.errno == _CLOSED_STREAM:
        _discard_output()
        print_error("standard output is closed", "redirect it to a file, or to /dev/null")
    elif error.errno in _DISK_ERRORS:
        _discard_output()
        where = error.filename or "the output"
        print_error(f"cannot write {where}: {error.strerror}", "free disk space or check the disk, then retry")
    else:
        raise error


def print_error(message: str, remedy: str) -> None:
    """Print an error, and below it what to do (none if empty), to standard error."""
    hint = f"\n  hint: {remedy}" if remedy else ""
    sys.stderr.write(f"astbtd: {message}{hint}\n")


def _run_verb(given: Sequence[str]) -> int:
    try:
        options = make_parser(given).parse_args(given)
        return int(_load_module(options.verb).run(options))
    except AstbtdError as error:
        print_error(error.message, error.remedy)
        return error.exit_code


def _hold_back_reload() -> None:
    """Block SIGHUP, which would end the daemon until its handler is installed. That unblocks it."""
    import signal  # it is slow to import, and no other verb needs it

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def _discard_output() -> None:
    """Redirect standard output to /dev/null if it cannot be written.

    What was not written is still in the buffer. The interpreter flushes it again at exit, and would fail again.
    """
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())


def make_parser(given: Iterable[str]) -> argparse.ArgumentParser:
    """Return the parser for the command line `given`.

    If `given` contains names of verbs, only these get subparsers, and only their modules are imported. Otherwise all
    verbs get a subparser without options, which is enough for `astbtd --help`.
    """
    parser = argparse.ArgumentParser(
        prog="astbtd",
        description="Collect, diagnose and keep backtraces of a crashed Asterisk.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"astbtd {__version__}")
    _add_common_options(parser, None)
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True, prog=parser.prog)
    requested = [name for name in VERBS if name in set(given)]
    for name in requested or VERBS:
        verb = VERBS[name]
        subparser = subparsers.add_parser(
            name,
            help=verb.help,
            description=f"astbtd {name}: {verb.help}.",
            epilog=_EPILOG,
            formatter_class=_Formatter,
        )
        _add_common_options(subparser, argparse.SUPPRESS)
        if requested:
            _load_module(name).add_arguments(subparser)
    return parser


def _add_common_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add the options that are accepted before and after the verb."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=_path,
        default=default,
        help="configuration file (default: /etc/astbtd.yaml)",
    )
    parser.add_argument(
        "--store",
        metavar="DIR",
        type=_path,
        default=default,
        help="store (default: as configured, or /var/lib/astbtd)",
    )


def _path(name: str) -> object:
    from pathlib import Path  # not needed for --help

    return Path(name)


def _load_module(verb: str) -> ModuleType:
    return importlib.import_module(f"astbtd.cli.commands.{VERBS[verb].module}")
