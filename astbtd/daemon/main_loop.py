"""The daemon: waits for events, signals and timers, claims cores at once and hands them to the worker."""

import selectors
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial

from astbtd.announce import journal, systemd
from astbtd.announce.journal import Priority
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreFinder
from astbtd.claims.unpack import NotUnpacked
from astbtd.daemon import announcements, deadlock_monitor
from astbtd.daemon.coredump_journal import heard_of
from astbtd.daemon.deadlock_monitor import DeadlockMonitorThread
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.daemon.status_updates import StatusUpdater
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.worker import Work, Worker
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.timers import Timers
from astbtd.lib.wakeup import WakeupDescriptor
from astbtd.model.crash import Crash
from astbtd.pipeline.components import Components, assemble, console
from astbtd.pipeline.crash_pipeline import CrashPipeline
from astbtd.settings import Settings
from astbtd.store.staging_cleanup import clean
from astbtd.watch.supervisor import WatchSupervisor

_BEYOND_GDB = 900.0  # seconds that the other stages of one core may take; of its compression, without progress
_FIRST_LOOK = 1.0  # seconds until an unfinished core is looked at again, doubled each time
_LAST_LOOK = 60.0
_JOURNAL_EVERY = 5.0  # seconds between two attempts at a journal that takes no entries
_NEWS_EVERY = 1.0  # seconds between two attempts at a service manager that does not take the status
_OUTPOSTS_EVERY = 5.0  # seconds between two looks at who has fallen silent


class Daemon:
    """One daemon on one store. `reload` reads the settings again, `check` is the command line of `astbtd check`."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings], check: Sequence[str]) -> None:
        self._settings = settings
        self._reload = reload
        self._wakeup = WakeupDescriptor((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._timers = Timers()
        self._worker = Worker(self._wakeup.wake)
        self._parts = self._assembled(settings)
        self._ledger = StoreStatistics(self._parts.store)
        self._housekeeping = Maintenance(self._parts.store, settings.retention, self._ledger, self._worker.stopped)
        self._checker = ReadinessMonitor(check, self._wakeup.wake)
        self._checked: frozenset[int] = frozenset()
        self._deadlock_watch: DeadlockMonitorThread | None = None
        self._loops = self._parts.crash_loops(settings)
        self._sparing = RateLimitedJournal()
        self._more_wait = False
        self._news = StatusUpdater(self._worker, self._ledger, self._loops, self._checker, self._sparing)

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises AstbtdError where it cannot start."""
        store = self._parts.store
        store.prepare()
        with files.said_plainly("cannot go on"), store.lock(), self._wakeup, selectors.DefaultSelector() as selector:
            lookout = WatchSupervisor(
                self._settings, self._search(), store.incoming / "directories", self._worker.put, self._wakeup.wake
            )
            selector.register(self._wakeup.fileno(), selectors.EVENT_READ)
            selector.register(lookout.fileno(), selectors.EVENT_READ)
            try:
                self._begin(lookout)
                while self._turn(lookout):
                    selector.select(self._timers.until_next())
            finally:
                self._end(lookout)

    def _begin(self, lookout: WatchSupervisor) -> None:
        """Arms the watches and looks for what waits; only then is the daemon ready."""
        store = self._parts.store
        lookout.begin(quiet=store.is_new)
        clean(store, lambda: set(self._parts.claims.noted()))
        announcements.recalled(self._loops, store)
        self._instruct_worker()
        self._more_wait = lookout.has_postponed
        self._worker.tidy(first=True)  # it counts what is in the store, for the status
        self._worker.start()
        self._set_timers(lookout)
        self._watch_for_deadlocks()
        self._news.tell(lookout, self._more_wait)
        systemd.notify("READY=1")
        self._checked = lookout.asterisks
        self._checker.ask()

    def _turn(self, lookout: WatchSupervisor) -> bool:
        """One round of the loop; False when it is to end."""
        arrived = self._wakeup.arrived()
        if signal.SIGHUP in arrived:
            self._change_settings(lookout)
        lookout.look()
        self._timers.run_due()
        self._watch_unfinished(lookout, _FIRST_LOOK)
        self._check_new_asterisks(lookout)
        self._watch_outposts(lookout)
        self._watch_loops()
        self._claim_postponed(lookout)
        self._tell_news(lookout)
        return not arrived & {signal.SIGTERM, signal.SIGINT}

    def _end(self, lookout: WatchSupervisor) -> None:
        """Parks what is not done; the next start finds it by its claims."""
        systemd.notify("STOPPING=1")
        self._checker.stop()
        for claim in self._worker.stop():
            self._parts.claims.park(claim)
        journal.later.deliver()
        lookout.close()

    def _set_timers(self, lookout: WatchSupervisor) -> None:
        self._timers.every("rescan", self._settings.watch.rescan, lambda: self._rescan(lookout))
        self._timers.every("retention", self._settings.retention.every, self._have_retention_applied)
        if interval := systemd.watchdog_interval():
            self._timers.every("watchdog", interval / 2, self._show_life)

    def _have_retention_applied(self) -> None:
        self._housekeeping.all_is_due()
        self._worker.tidy(first=True)

    def _rescan(self, lookout: WatchSupervisor) -> None:
        lookout.rescan()
        self._sparing.go_on()
        self._worker.retry()
        if self._checker.problems:  # a remedy may have been followed meanwhile
            self._checker.ask()

    def _check_new_asterisks(self, lookout: WatchSupervisor) -> None:
        if lookout.asterisks - self._checked:
            self._checker.ask()
        self._checked = lookout.asterisks

    def _watch_unfinished(self, lookout: WatchSupervisor, seconds: float) -> None:
        """A core whose last writer went without an event is still found, a few looks later."""
        again = partial(self._look_again, lookout, seconds)
        self._timers.only_while(lookout.has_unfinished, "unfinished", seconds, again)

    def _claim_postponed(self, lookout: WatchSupervisor) -> None:
        if self._more_wait and self._worker.is_running_dry:
            lookout.look_at_postponed()
        waited, self._more_wait = self._more_wait, lookout.has_postponed
        if waited and not self._more_wait:
            self._worker.tidy()

    def _tell_news(self, lookout: WatchSupervisor) -> None:
        """Whoever does not listen is told again, a little later."""
        self._timers.only_while(bool(journal.later), "journal", _JOURNAL_EVERY, self._speak_again)
        told = self._news.tell(lookout, self._more_wait)
        self._timers.only_while(not told, "news", _NEWS_EVERY, lambda: None)  # the turn after it tells them

    def _speak_again(self) -> None:
        if journal.later.deliver():
            self._worker.retry()  # what could not be announced was set aside

    def _watch_outposts(self, lookout: WatchSupervisor) -> None:
        """That a file system has fallen silent, only time tells."""
        self._timers.only_while(lookout.has_outposts, "outposts", _OUTPOSTS_EVERY, lambda: None)

    def _look_again(self, lookout: WatchSupervisor, seconds: float) -> None:
        lookout.look_at_unfinished()
        self._timers.cancel("unfinished")
        self._watch_unfinished(lookout, min(seconds * 2, _LAST_LOOK))

    def _watch_loops(self) -> None:
        announcements.ended(self._loops, self._parts.store)
        self._timers.cancel("loops")
        if (left := self._loops.until_next_end()) is not None:
            self._timers.every("loops", left, lambda: None)  # the turn after it sees that the loop has ended

    def _show_life(self) -> None:
        if not self._worker.is_late:
            systemd.notify("WATCHDOG=1")

    def _change_settings(self, lookout: WatchSupervisor) -> None:
        """Reloads; a configuration that is wrong changes nothing but the status."""
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._reload()
            parts = self._assembled(settings)
            if settings.store != self._settings.store:
                raise AstbtdError("store: another directory is used only after a restart")
        except AstbtdError as error:
            journal.configuration_rejected(error.message)
            self._ledger.fail("configuration", f"configuration rejected, old settings in force: {error.message}")
        else:
            self._ledger.succeed("configuration")
            self._settings, self._parts = settings, parts
            self._loops.use(settings.crash_loop)
            self._housekeeping.use(settings.retention)
            lookout.use(settings, parts.claims)
            self._instruct_worker()
            self._set_timers(lookout)
            self._checker.ask()
            self._watch_for_deadlocks()
            journal.note("configuration reloaded")
        systemd.notify("READY=1")

    def _watch_for_deadlocks(self) -> None:
        """Starts the watch as the settings want it, in place of the one before."""
        if self._deadlock_watch:
            self._deadlock_watch.stop()
        self._deadlock_watch = deadlock_monitor.start(
            self._settings,
            console(self._settings),
            systemd.runtime_directory() or self._parts.store.incoming,
            self._parts.captures,
            lambda message: journal.note(message, Priority.WARNING),
        )

    def _assembled(self, settings: Settings) -> Components:
        return assemble(settings, self._worker.stopped, lambda needed: self._housekeeping.make_room(needed))

    def _search(self) -> CoreFinder:
        settings = self._settings
        return CoreFinder(
            self._parts.claims,
            self._parts.store.seen_among,
            settings.asterisk.executables,
            settings.cores.action,
            self._sparing.refused,
            self._worker.follow,
            self._worker.has_room,
        )

    def _instruct_worker(self) -> None:
        stopped = self._worker.stopped
        hear = partial(heard_of, stopped=stopped, others_wait=self._worker.others_wait)
        announce = partial(announcements.crash, self._loops, self._parts.store)
        pipeline = self._parts.pipeline(self._settings, self._loops, announce, lambda _: self._worker.goes_on(), hear)
        work = Work(partial(self._process, pipeline), self._tidy, pipeline.follow, self._done, self._failed)
        self._worker.use(work, self._settings.gdb.time * 2 + _BEYOND_GDB)

    def _process(self, pipeline: CrashPipeline, claim: Claim) -> Crash | None:
        try:
            return pipeline.process(claim)
        except NotUnpacked as error:
            self._sparing.not_unpacked(claim.note.path, error)
            return None

    def _done(self, claim: Claim, crash: Crash | None) -> None:
        self._ledger.succeed(claim.note.path)
        if crash:
            self._housekeeping.collected(crash)
        self._worker.tidy(first=self._housekeeping.is_pressing)

    def _failed(self, what: str, error: Exception) -> None:
        if what == "retention":
            self._housekeeping.all_is_due()
        reason = error.message if isinstance(error, AstbtdError) else f"{what}: {type(error).__name__}: {error}"
        if self._ledger.fail(what, reason):
            journal.note(f"{reason} (it is tried again later)", Priority.ERROR)

    def _tidy(self) -> None:
        self._housekeeping.run(idle=not self._worker.waiting and not self._more_wait)
        self._ledger.succeed("retention")
