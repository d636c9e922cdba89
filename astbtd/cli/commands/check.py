"""`astbtd check`: will the next crash give a usable backtrace?"""

import argparse

from astbtd.cli.common import Progress, add_json, colorize, load_settings, write_json, write_row, write_text
from astbtd.errors import ExitCode
from astbtd.readiness.all_checks import run_checks
from astbtd.readiness.gather.all_facts import gather_facts
from astbtd.readiness.gather.timeout import run_with_timeout
from astbtd.readiness.result import NEVER_FAILING, Check, Readiness, State

_TIMEOUT = 600.0  # seconds; each fact has a timeout of its own, but there may be many Asterisk processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Print one line for each check and the overall result; the exit code is 4 if a check has failed."""
    settings = load_settings(options)
    with Progress("checking") as progress:
        facts = run_with_timeout(_TIMEOUT, lambda: gather_facts(settings), progress.tick)
    readiness = run_checks(facts, settings.retention)
    if options.json:
        write_json(readiness)
    else:
        for check in readiness.checks:
            write_row(f"{colorize(check.state, 8)} {format_check(check)}")
        write_text(f"{format_result(readiness)}\n")
    return ExitCode.NOT_USABLE if readiness.usable is False else ExitCode.DONE


def format_check(check: Check) -> str:
    """Return the line of a check after its state: the name, what was found, and the remedy."""
    hint = f"; hint: {check.remedy}" if check.remedy else ""
    return f"{check.name:<18} {check.found}{hint}\n"


def format_result(readiness: Readiness) -> str:
    """Return the overall result in one sentence."""
    if readiness.usable is None:
        names = _names_with(State.UNKNOWN, readiness)
        return f"unknown: cannot tell whether the next crash will give a usable backtrace: {names}"
    if not readiness.usable:
        return f"not ready: the next crash will not give a usable backtrace: {_names_with(State.FAILED, readiness)}"
    has_warning = any(check.state is State.WARNING for check in readiness.checks)
    improve = " (fix the warnings for a better one)" if has_warning else ""
    return f"ready: the next crash should give a usable backtrace{improve}"


def _names_with(state: State, readiness: Readiness) -> str:
    """Return the names of the checks that decide the result, without duplicates."""
    names = [check.name for check in readiness.checks if check.state is state and check.name not in NEVER_FAILING]
    return ", ".join(dict.fromkeys(names))
