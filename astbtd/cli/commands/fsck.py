"""`astbtd fsck`: checks the store, explains what is wrong, and repairs what can be repaired safely."""

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from astbtd.claims import orphaned_claims
from astbtd.claims.claim_file import ClaimFiles
from astbtd.claims.examinations import SKIPPED_BECAUSE, ExaminationNotes
from astbtd.claims.orphaned_claims import Orphan
from astbtd.cli.common import Progress, add_json, load_settings, open_store_for_writing, warn, write_json, write_text
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import CoreState
from astbtd.sources.watched_directories import find_remembered, memory_file
from astbtd.store.integrity import Finding, StoreCheck
from astbtd.store.store import DamagedRecord, Store


@dataclass(frozen=True)
class Outcome:
    """A finding as `--json` prints it."""

    path: str
    problem: str
    remedy: str
    repaired: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--dry-run", action="store_true", help="repair nothing; only show what is wrong")
    parser.add_argument("--quick", action="store_true", help="do not read the kept cores to their ends")
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Check and repair. The exit code is FAILED if a problem is left."""
    store = open_store_for_writing(options)
    if not store.root.is_dir():
        raise AstbtdError(f"there is no store at {store.root}", "check --store, or the setting store")
    outcomes = _check_and_repair(store, options)
    if options.json:
        write_json({"findings": outcomes, "repaired": sum(outcome.repaired for outcome in outcomes)})
    else:
        _print_summary(store, outcomes)
    return ExitCode.DONE if all(outcome.repaired for outcome in outcomes) else ExitCode.FAILED


def _check_and_repair(store: Store, options: argparse.Namespace) -> list[Outcome]:
    """Return the outcomes; unless they are wanted as JSON, print each of them at once."""
    outcomes = []
    repairs_needed = False
    with _lock_if_possible(store) as read_only_reason, Progress("reading kept cores") as progress:
        is_locked = read_only_reason is None
        for finding in _findings(store, options, progress, is_locked=is_locked):
            repairs_needed |= finding.repair is not None
            outcome = _outcome(finding, repairing=is_locked and not options.dry_run)
            outcomes.append(outcome)
            if not options.json:
                _print(outcome)
    if repairs_needed and read_only_reason and not options.dry_run:
        warn([f"read-only check: {read_only_reason}"])
    return outcomes


@contextmanager
def _lock_if_possible(store: Store) -> Iterator[str | None]:
    """Hold the lock of the store. Yield None, or the reason why it is not held: then nothing may be repaired."""
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock())
        except AstbtdError:
            reason = "the daemon is running (stop it first to repair: systemctl stop astbtd)"
        except OSError as error:
            reason = f"cannot lock the store: {error.strerror} (repair as root: sudo astbtd fsck)"
        else:
            yield None
            return
        yield reason


def _findings(store: Store, options: argparse.Namespace, progress: Progress, *, is_locked: bool) -> Iterator[Finding]:
    """Yield the problems of the store, then those of its claims, unless a daemon is running that changes them."""
    from astbtd.pipeline.crash_report import write_report  # imports the diagnosis
    from astbtd.pipeline.removed_core import record_core_state

    def claimed() -> set[str]:
        return set(ClaimFiles(store.incoming).ids())

    report = partial(write_report, group=store.group)
    set_core_state = partial(record_core_state, store)
    yield from StoreCheck(store, claimed, not options.quick, progress, report, set_core_state).findings()
    yield from _skipped_files(store)
    if is_locked:
        orphans = chain(orphaned_claims.find_claim_files(store.incoming), _orphaned_links(store, options, claimed))
        for orphan in orphans:
            yield Finding(orphan.path, orphan.problem, orphan.remedy, orphan.remove)


def _skipped_files(store: Store) -> Iterator[Finding]:
    """Yield the files that the daemon does not examine any more."""
    for note in ExaminationNotes(store.incoming).skipped():
        remedy = f"remove it; `astbtd extract {shlex.quote(note.path)}` collects it if it is a core"
        yield Finding(Path(note.path), f"it is skipped: {SKIPPED_BECAUSE}", remedy)


def _orphaned_links(store: Store, options: argparse.Namespace, claimed: Callable[[], set[str]]) -> Iterator[Orphan]:
    """Yield the hard links of claims beside cores. With --store, there is no telling to which store they belong."""
    if options.store is None:
        directories = find_remembered(load_settings(options), memory_file(store.root))
        yield from orphaned_claims.find_links(directories.searched, claimed(), partial(_is_stored, store))


def _is_stored(store: Store, crash_id: str) -> bool:
    """Return True if the core of a crash is in the store, and its record agrees."""
    try:
        state = store.load(crash_id).core.state
    except DamagedRecord:
        return False
    return state is CoreState.KEPT and store.kept_core(crash_id).exists()


def _outcome(finding: Finding, *, repairing: bool) -> Outcome:
    if finding.repair is None:
        return Outcome(str(finding.path), finding.problem, finding.remedy, repaired=False)
    if not repairing:
        return Outcome(str(finding.path), finding.problem, f"can be repaired: {finding.remedy}", repaired=False)
    try:
        with files.wrap_os_error("cannot be repaired"):
            finding.repair()
    except AstbtdError as error:  # go on with the rest
        return Outcome(str(finding.path), finding.problem, error.message, repaired=False)
    return Outcome(str(finding.path), finding.problem, finding.remedy, repaired=True)


def _print(outcome: Outcome) -> None:
    write_text(f"{printable_line(outcome.path)}: {printable_line(outcome.problem)}\n")
    write_text(f"  {'repaired' if outcome.repaired else 'not repaired'}: {printable_line(outcome.remedy)}\n")


def _print_summary(store: Store, outcomes: list[Outcome]) -> None:
    crashes = pluralize(len(store.ids()), "crash", "crashes")
    repaired = sum(outcome.repaired for outcome in outcomes)
    problems = f"{pluralize(len(outcomes), 'problem', 'problems')}, {repaired} repaired"
    write_text(f"{store.root}: {crashes} checked; {problems if outcomes else 'no problems found'}\n")
