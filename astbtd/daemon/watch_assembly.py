"""Assemble the watch thread of a daemon, and pass on what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.claims.core_filter import RefusedFile
from astbtd.claims.examinations import SKIPPED_BECAUSE, ExaminationNotes
from astbtd.claims.finder import CoreClaimed, CoreRenamed, CoreReplaced, FinderResult
from astbtd.claims.finder_results import OlderCoresLeft
from astbtd.daemon import announcements
from astbtd.daemon.claim_accounting import ClaimAccounting
from astbtd.daemon.death_monitor import DeathMonitor
from astbtd.daemon.watch_thread import WatchThread
from astbtd.daemon.worker import Worker
from astbtd.pipeline.components import Components
from astbtd.pipeline.stages import core_finder
from astbtd.settings import Settings
from astbtd.sources.watched_directories import memory_file
from astbtd.store.staging_cleanup import remove_leftovers
from astbtd.watch.supervisor import WatchSupervisor

_FOREIGN_REPLACED = "it was the core of a foreign program, and was replaced before astbtd could claim it"


@dataclass(frozen=True)
class Receiver:
    """Receives what the watch thread finds, in that thread: claims go to the worker, messages to the journal."""

    worker: Worker
    rate_limited: RateLimitedJournal
    deaths: DeathMonitor

    def handle(self, result: FinderResult) -> None:
        """Handle one result."""
        match result:
            case CoreClaimed(claim):
                self.worker.submit(claim)
            case CoreRenamed():
                self.worker.submit_rename(result)
            case CoreReplaced(record) if record.foreign:
                self.rate_limited.log_refused_core(record.path, _FOREIGN_REPLACED, foreign=True)
            case CoreReplaced(record):
                announcements.log_replaced_core(record)
            case OlderCoresLeft(directory, count):
                announcements.log_older_cores(directory, count)
            case RefusedFile(path, reason, other, foreign):
                self.deaths.note_other_core(other)
                self.rate_limited.log_refused_core(path, reason, foreign=foreign)


def make_watch_thread(
    settings: Settings,
    components: Components,
    worker: Worker,
    rate_limited: RateLimitedJournal,
    deaths: DeathMonitor,
    on_change: Callable[[], None],
) -> WatchThread:
    """Return the watch thread of a daemon, not started. The store must exist."""
    store, claims = components.store, components.claims
    finder = core_finder(components, settings, worker, ExaminationNotes(store.incoming))
    supervisor = WatchSupervisor(settings, finder, memory_file(store.root))
    _recover_notes(finder.examinations.notes, supervisor.is_local)
    accounting = ClaimAccounting(worker, supervisor.is_local)
    return WatchThread(
        supervisor,
        Receiver(worker, rate_limited, deaths).handle,
        on_change,
        before_rescan=lambda: accounting.recover(claims),
        on_started=lambda: remove_leftovers(store, lambda: set(claims.ids())),
    )


def _recover_notes(notes: ExaminationNotes, is_local: Callable[[str], bool]) -> None:
    """Read the notes of a daemon that has died, and log what is skipped from now on."""
    for note in notes.recover(is_local):
        journal.log(f"{note.path} is skipped: {SKIPPED_BECAUSE}", Priority.WARNING)
