"""`astbtd check`: will the next crash give a usable backtrace?"""

import argparse

from astbtd.cli.common import Progress, add_json, coloured, load_settings, write, write_json, write_row
from astbtd.errors import ExitCode
from astbtd.readiness.all_checks import answer
from astbtd.readiness.gather.all_facts import facts
from astbtd.readiness.gather.timeout import within
from astbtd.readiness.result import NEVER_FAILING, Check, Readiness, State

_LONGEST = 600.0  # seconds; each question has its own limit, and many Asterisks may run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Prints one line per check and the answer; exit code 4 if that is no."""
    settings = load_settings(options)
    with Progress("checking") as progress:
        found = within(_LONGEST, lambda: facts(settings), progress.tick)
    readiness = answer(found, settings.retention)
    if options.json:
        write_json(readiness)
    else:
        for check in readiness.checks:
            write_row(f"{coloured(check.state, 8)} {line(check)}")
        write(f"{conclusion(readiness)}\n")
    return ExitCode.NOT_USABLE if readiness.usable is False else ExitCode.DONE


def line(check: Check) -> str:
    """One check behind its state: its name, what was found, and the remedy."""
    remedy = f"; what helps: {check.remedy}" if check.remedy else ""
    return f"{check.name:<18} {check.found}{remedy}\n"


def conclusion(readiness: Readiness) -> str:
    """The answer in one sentence."""
    if readiness.usable:
        warned = any(check.state is State.WARNING for check in readiness.checks)
        return "the next crash gives a usable backtrace" + (", a better one without the warnings" if warned else "")
    wanted = State.UNKNOWN if readiness.usable is None else State.FAILED
    found = [check.name for check in readiness.checks if check.state is wanted and check.name not in NEVER_FAILING]
    names = ", ".join(dict.fromkeys(found))
    if readiness.usable is None:
        return f"whether the next crash gives a usable backtrace is not known: {names}"
    return f"the next crash gives no usable backtrace: {names}"
