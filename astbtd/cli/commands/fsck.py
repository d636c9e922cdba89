"""`astbtd fsck`: examines the store, explains what is wrong in it, and repairs what is safe to repair."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain

from astbtd.claims import orphaned_claims
from astbtd.claims.claim_file import ClaimFiles
from astbtd.claims.orphaned_claims import Leftover
from astbtd.cli.common import Progress, add_json, load_settings, open_store_to_change, warn, write, write_json
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import counted
from astbtd.model.crash import CoreState
from astbtd.sources.watched_directories import known
from astbtd.store.integrity import Finding, StoreCheck
from astbtd.store.store import DamagedRecord, Store


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
    store = open_store_to_change(options)
    if not store.root.is_dir():
        raise AstbtdError(f"there is no store at {store.root}", "check --store, or the setting store")
    with _alone(store) as alone, Progress("reading kept cores") as progress:
        outcomes = []
        for finding in _findings(store, options, progress, alone=alone):
            outcomes.append(_outcome(finding, repairing=alone and not options.dry_run))
            if not options.json:
                _print(outcomes[-1])
    if options.json:
        write_json({"findings": outcomes, "repaired": sum(outcome.repaired for outcome in outcomes)})
    else:
        _print_summary(store, outcomes)
    return ExitCode.DONE if all(outcome.repaired for outcome in outcomes) else ExitCode.FAILED


def _findings(store: Store, options: argparse.Namespace, progress: Progress, *, alone: bool) -> Iterator[Finding]:
    """What is wrong in the store, then with its claims. Beside a daemon, which changes them all the time, no claims."""
    from astbtd.pipeline.analysis import write_report  # brings the diagnosis

    def claimed() -> set[str]:
        return set(ClaimFiles(store.incoming).ids())

    report = partial(write_report, group=store.group)
    yield from StoreCheck(store, claimed, not options.quick, progress, report).findings()
    if alone:
        for left in chain(orphaned_claims.notes(store.incoming), _names(store, options, claimed)):
            yield Finding(left.path, left.problem, left.remedy, left.remove)


def _names(store: Store, options: argparse.Namespace, claimed: Callable[[], set[str]]) -> Iterator[Leftover]:
    """The names that claims left beside cores; whose they are is known only of the store that is configured."""
    if options.store is None:
        places = known(load_settings(options), store.incoming / "directories")
        yield from orphaned_claims.names(places.searched, claimed(), partial(_keeps, store))


def _keeps(store: Store, crash_id: str) -> bool:
    """Whether the core of a crash is in the store, as its record says too."""
    try:
        return store.load(crash_id).core.state is CoreState.KEPT and store.kept_core(crash_id).exists()
    except DamagedRecord:
        return False


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
    if finding.repair is None:
        return Outcome(str(finding.path), finding.problem, finding.remedy, repaired=False)
    if not repairing:
        return Outcome(str(finding.path), finding.problem, f"can be repaired: {finding.remedy}", repaired=False)
    try:
        with files.said_plainly("cannot be repaired"):
            finding.repair()
    except AstbtdError as error:  # the rest is examined and repaired all the same
        return Outcome(str(finding.path), finding.problem, error.message, repaired=False)
    return Outcome(str(finding.path), finding.problem, finding.remedy, repaired=True)


def _print(outcome: Outcome) -> None:
    write(f"{printable_line(outcome.path)}: {printable_line(outcome.problem)}\n")
    write(f"  {'repaired' if outcome.repaired else 'left'}: {printable_line(outcome.remedy)}\n")


def _print_summary(store: Store, outcomes: list[Outcome]) -> None:
    repaired = sum(outcome.repaired for outcome in outcomes)
    crashes = counted(len(store.ids()), "crash", "crashes")
    wrong = f"{counted(len(outcomes), 'problem', 'problems')}, {repaired} repaired" if outcomes else "nothing is wrong"
    write(f"{store.root}: {crashes} examined; {wrong}\n")
