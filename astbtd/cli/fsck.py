"""`astbtd fsck`: examines the store, explains what is wrong in it, and repairs what is safe to repair."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from astbtd import durable
from astbtd.archive.fsck import Examination, Finding
from astbtd.archive.store import Store
from astbtd.cli.common import Progress, add_json, open_store, warn, write, write_json
from astbtd.errors import AstbtdError, ExitCode
from astbtd.intake.note import Notes
from astbtd.printable import printable_line
from astbtd.quantities import counted


@dataclass(frozen=True)
class Outcome:
    """A finding as `--json` has it."""

    path: str
    problem: str
    remedy: str
    repaired: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("--dry-run", action="store_true", help="repair nothing, only say what is wrong")
    parser.add_argument("--quick", action="store_true", help="do not read the kept cores to their ends")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Examines and repairs; fails where something is left that it cannot repair."""
    store = open_store(options)
    with _alone(store) as alone, Progress("reading kept cores") as progress:
        notes = Notes(store.incoming)
        examination = Examination(store, lambda: set(notes.ids()), not options.quick, progress)
        outcomes = []
        for finding in examination.findings():
            outcomes.append(_outcome(finding, repairing=alone and not options.dry_run))
            if not options.json:
                _print(outcomes[-1])
    if options.json:
        write_json({"findings": outcomes, "repaired": sum(outcome.repaired for outcome in outcomes)})
    else:
        _print_summary(store, outcomes)
    return ExitCode.DONE if all(outcome.repaired for outcome in outcomes) else ExitCode.FAILED


@contextmanager
def _alone(store: Store) -> Iterator[bool]:
    """Whether we have the store to ourselves while the context lasts; says so if not."""
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock())
        except (AstbtdError, OSError):
            warn(["nothing is repaired: only root can, while no daemon runs (systemctl stop astbtd; sudo astbtd fsck)"])
            yield False
            return
        yield True


def _outcome(finding: Finding, *, repairing: bool) -> Outcome:
    repaired = finding.repair is not None and repairing
    if finding.repair and repairing:
        with durable.said_plainly(f"cannot repair {finding.path}"):
            finding.repair()
    remedy = finding.remedy if repaired or finding.repair is None else f"can be repaired: {finding.remedy}"
    return Outcome(str(finding.path), finding.problem, remedy, repaired)


def _print(outcome: Outcome) -> None:
    write(f"{printable_line(outcome.path)}: {printable_line(outcome.problem)}\n")
    write(f"  {'repaired' if outcome.repaired else 'left'}: {printable_line(outcome.remedy)}\n")


def _print_summary(store: Store, outcomes: list[Outcome]) -> None:
    repaired = sum(outcome.repaired for outcome in outcomes)
    crashes = counted(len(store.ids()), "crash", "crashes")
    wrong = f"{counted(len(outcomes), 'problem', 'problems')}, {repaired} repaired" if outcomes else "nothing is wrong"
    write(f"{store.root}: {crashes} examined; {wrong}\n")
