"""The daemon's main loop: waits for events, signals and timers, claims cores at once and queues them for the worker."""

import selectors
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from astbtd.announce import journal, systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.claims.core_filter import RefusedFile
from astbtd.claims.finder import CoreClaimed, CoreRenamed, CoreReplaced, FinderResult
from astbtd.claims.finder_results import OlderCoresLeft
from astbtd.daemon import announcements, collector_journal, deadlock_monitor
from astbtd.daemon.claim_accounting import ClaimAccounting
from astbtd.daemon.deadlock_monitor import DeadlockMonitorThread
from astbtd.daemon.death_monitor import GRACE, DeathMonitor
from astbtd.daemon.job_handler import CrashJobHandler
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.object_monitor import MODULES_LOADED, ObjectMonitor
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.daemon.status_updates import StatusUpdater
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.worker import Worker
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.event_loop import Timers, WakeupDescriptor
from astbtd.pipeline.components import Components, assemble
from astbtd.settings import Settings
from astbtd.sources.watched_directories import memory_file
from astbtd.store.staging_cleanup import remove_leftovers
from astbtd.watch.supervisor import WatchSupervisor

_TIME_BEYOND_GDB = 900.0  # seconds that the other stages of one core may take; compression may, without progress
_FIRST_RECHECK = 1.0  # seconds until an incomplete core is examined again; doubled each time
_MAX_RECHECK = 60.0
_JOURNAL_RETRY = 5.0  # seconds between two attempts to send the entries that the journal did not accept
_METADATA_RETRY = 2.0  # seconds between two searches for journal entries of collectors
_STATUS_RETRY = 1.0  # seconds between two attempts to send the status to a service manager that did not accept it
_RESPONSE_CHECK = 5.0  # seconds between two checks whether remote file systems still respond


class Daemon:
    """One daemon on one store.

    `reload` reads the configuration again and raises AstbtdError if it is invalid. `check_command` is the command line
    of `astbtd check`.
    """

    _supervisor: WatchSupervisor  # created by `run`, when the store exists
    _accounting: ClaimAccounting

    def __init__(self, settings: Settings, reload: Callable[[], Settings], check_command: Sequence[str]) -> None:
        self._settings = settings
        self._reload = reload
        self._wakeup = WakeupDescriptor((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._timers = Timers()
        self._worker = Worker(self._wakeup.wake)
        self._components = self._assemble(settings)
        store = self._components.store
        self._statistics = StoreStatistics(store)
        self._maintenance = Maintenance(store, settings.retention, self._statistics, self._worker.raise_if_stopping)
        self._readiness = ReadinessMonitor(check_command, self._wakeup.wake)
        self._deaths = DeathMonitor(store, self._worker.submit)
        self._objects = ObjectMonitor()
        self._deadlock_monitor: DeadlockMonitorThread | None = None
        self._loops = self._components.crash_loops(settings)
        self._rate_limited = RateLimitedJournal()
        self._status = StatusUpdater(self._worker, self._statistics, self._loops, self._readiness)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises AstbtdError if the daemon cannot start."""
        store = self._components.store
        store.prepare()
        with (
            files.wrap_os_error("cannot continue"),
            store.lock(),
            self._wakeup,
            selectors.DefaultSelector() as selector,
        ):
            finder = self._components.core_finder(self._settings, self._worker)
            self._supervisor = WatchSupervisor(self._settings, finder, memory_file(store.root))
            self._accounting = ClaimAccounting(self._worker, self._supervisor.is_local)
            selector.register(self._wakeup.fileno(), selectors.EVENT_READ)
            selector.register(self._supervisor.fileno(), selectors.EVENT_READ)
            try:
                self._start()
                while self._run_once():
                    selector.select(self._timers.seconds_until_next())
            finally:
                self._stop()

    def _start(self) -> None:
        """Start the watches and claim the cores that are there; then report that the daemon is ready."""
        store = self._components.store
        self._handle(self._supervisor.start(quiet=store.is_new))
        remove_leftovers(store, lambda: set(self._components.claims.ids()))
        announcements.restore_loops(self._loops, store)
        self._configure_worker()
        self._worker.expect_more(self._supervisor.has_postponed)
        self._worker.request_maintenance(urgent=True)  # it counts the crashes in the store, for the status
        self._worker.start()
        self._schedule_timers()
        self._restart_deadlock_monitor()
        self._status.update(self._supervisor)
        systemd.notify("READY=1")
        self._deaths.note_running(self._supervisor.asterisks)
        self._objects.note_running(self._supervisor.asterisks)
        self._keep_objects()
        self._readiness.request_check()

    def _run_once(self) -> bool:
        """Run the loop once: handle all that has happened. Return False when the daemon is to stop."""
        signals = self._wakeup.take_signals()
        if signal.SIGHUP in signals:
            self._reload_settings()
        self._handle(self._supervisor.process_events())
        self._timers.run_due()
        self._schedule_recheck(_FIRST_RECHECK)
        self._note_asterisks()
        self._schedule_response_check()
        self._announce_ended_loops()
        self._claim_postponed()
        self._update_status()
        return not signals & {signal.SIGTERM, signal.SIGINT}

    def _stop(self) -> None:
        """Stop all threads. Claims that are not processed stay on disk, where the next start finds them."""
        systemd.notify("STOPPING=1")
        self._readiness.stop()
        if self._deadlock_monitor:
            self._deadlock_monitor.stop()
        for claim in self._worker.stop():
            self._components.claims.suspend(claim)
        journal.pending.deliver()
        self._supervisor.close()

    def _handle(self, results: Iterable[FinderResult]) -> None:
        """Handle what the supervisor has found. A claim is queued before the next file is examined."""
        for result in results:
            match result:
                case CoreClaimed(claim):
                    self._worker.submit(claim)
                case CoreRenamed():
                    self._worker.submit_rename(result)
                case CoreReplaced(record):
                    announcements.log_replaced_core(record)
                case OlderCoresLeft(directory, count):
                    announcements.log_older_cores(directory, count)
                case RefusedFile(path, reason, other):
                    self._deaths.note_other_core(other)
                    self._rate_limited.log_refused_core(path, reason)

    def _schedule_timers(self) -> None:
        self._timers.schedule("rescan", self._settings.watch.rescan, self._rescan)
        self._timers.schedule("retention", self._settings.retention.every, self._request_retention)
        if interval := systemd.watchdog_interval():
            self._timers.schedule("watchdog", interval / 2, self._ping_watchdog)

    def _rescan(self) -> None:
        self._accounting.recover(self._components.claims)
        self._handle(self._supervisor.rescan())
        self._rate_limited.reset()
        self._status.allow_more_entries()
        self._worker.retry_deferred()
        self._check_deaths()
        self._keep_objects()
        if self._readiness.problems:  # somebody may have fixed them meanwhile
            self._readiness.request_check()

    def _request_retention(self) -> None:
        self._maintenance.mark_full_run()
        self._worker.request_maintenance(urgent=True)

    def _ping_watchdog(self) -> None:
        if not self._worker.is_overdue:
            systemd.notify("WATCHDOG=1")

    def _note_asterisks(self) -> None:
        """If an Asterisk was started, check the readiness and keep its objects; if one has ended, look for its core."""
        started, ended = self._deaths.note_running(self._supervisor.asterisks)
        self._objects.note_running(self._supervisor.asterisks)
        if started:
            self._readiness.request_check()
            self._keep_objects()
            self._timers.schedule("objects", MODULES_LOADED, self._keep_objects)
        if ended:
            self._timers.schedule("deaths", 2 * GRACE, self._check_deaths)

    def _keep_objects(self) -> None:
        self._timers.cancel("objects")
        self._objects.request()
        self._worker.request_maintenance()

    def _check_deaths(self) -> None:
        self._timers.cancel("deaths")
        self._deaths.is_due = True
        self._worker.request_maintenance()

    def _schedule_recheck(self, delay: float) -> None:
        """Schedule another examination of incomplete cores: there may be no event when the last writer ends."""
        recheck = partial(self._recheck_incomplete, delay)
        self._timers.schedule_while(self._supervisor.has_incomplete, "incomplete", delay, recheck)

    def _recheck_incomplete(self, delay: float) -> None:
        self._handle(self._supervisor.recheck_incomplete())
        self._timers.cancel("incomplete")
        self._schedule_recheck(min(delay * 2, _MAX_RECHECK))

    def _schedule_response_check(self) -> None:
        """Wake up regularly while a remote file system is watched: there is no event for one that stops responding."""
        self._timers.schedule_while(self._supervisor.has_remote_scanners, "remote", _RESPONSE_CHECK, _only_wake_up)

    def _announce_ended_loops(self) -> None:
        announcements.announce_ended_loops(self._loops, self._components.store)
        self._timers.cancel("loops")
        remaining = self._loops.seconds_until_next_end()
        if remaining is not None:
            self._timers.schedule("loops", remaining, _only_wake_up)

    def _claim_postponed(self) -> None:
        """Claim more of the cores for which there was no room, once most of the queue is processed."""
        has_room = self._worker.more_expected and self._worker.is_almost_empty
        if has_room or self._supervisor.has_postponed_foreign:
            self._handle(self._supervisor.recheck_postponed())
        self._worker.expect_more(self._supervisor.has_postponed)

    def _update_status(self) -> None:
        """Update the status, and retry soon what the journal or the service manager did not accept."""
        self._timers.schedule_while(bool(journal.pending), "journal", _JOURNAL_RETRY, self._retry_journal)
        accepted = self._status.update(self._supervisor)
        self._timers.schedule_while(not accepted, "status", _STATUS_RETRY, _only_wake_up)
        awaits = self._maintenance.awaits_metadata
        self._timers.schedule_while(awaits, "metadata", _METADATA_RETRY, self._worker.request_maintenance)

    def _retry_journal(self) -> None:
        if journal.pending.deliver():
            self._worker.retry_deferred()  # crashes that could not be announced

    def _reload_settings(self) -> None:
        """Reload the configuration. If it is invalid, keep the current one and show that in the status."""
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._reload()
            components = self._assemble(settings)
            if settings.store != self._settings.store:
                raise AstbtdError("store: a change takes effect only after a restart")
        except AstbtdError as error:
            journal.announce_rejected_configuration(error)
            self._statistics.record_failure(
                "configuration", f"configuration rejected, old settings in force: {error.message}"
            )
        else:
            self._statistics.clear_failure("configuration")
            self._apply(settings, components)
            journal.log("configuration reloaded")
        systemd.notify("READY=1")

    def _apply(self, settings: Settings, components: Components) -> None:
        self._settings, self._components = settings, components
        self._loops.update_settings(settings.crash_loop)
        self._maintenance.update_settings(settings.retention)
        self._handle(self._supervisor.update_settings(settings, components.claims))
        self._configure_worker()
        self._schedule_timers()
        self._readiness.request_check()
        self._restart_deadlock_monitor()

    def _restart_deadlock_monitor(self) -> None:
        self._deadlock_monitor = deadlock_monitor.restart(self._deadlock_monitor, self._settings, self._components)

    def _assemble(self, settings: Settings) -> Components:
        return assemble(settings, self._worker.raise_if_stopping, lambda needed: self._maintenance.make_room(needed))

    def _configure_worker(self) -> None:
        """Let the worker use a pipeline with the current settings from the next job on."""
        keeper = self._components.object_keeper(self._settings, self._worker.keep_alive)
        pipeline = self._components.crash_pipeline(
            self._settings,
            self._loops,
            announce=partial(announcements.announce_crash, self._loops, self._components.store, self._rate_limited),
            progress=self._worker.keep_alive,
            collect_metadata=collector_journal.find_metadata,
            keep_objects=partial(self._objects.keep_of_crash, keeper),
        )
        deaths = partial(self._deaths.check_if_due, self._components.claims, self._settings.asterisk.executables)
        keep = partial(self._objects.keep_if_due, keeper, self._is_catch_up_interrupted)
        shared = (self._maintenance, self._statistics, self._rate_limited, self._is_catch_up_interrupted)
        handler = CrashJobHandler(pipeline, *shared, deaths, keep)
        self._worker.configure(handler, self._settings.gdb.time * 2 + _TIME_BEYOND_GDB)

    def _is_catch_up_interrupted(self) -> bool:
        """Report progress; return True if a claim is queued."""
        self._worker.keep_alive()
        return self._worker.has_queued()


def _only_wake_up() -> None:
    """Do nothing. The loop wakes up for the timer, and does what is due in its next round."""
