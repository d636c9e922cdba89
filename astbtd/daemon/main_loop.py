"""The daemon's main loop: waits for signals, timers and the other threads, and reports to the service manager.

The watch thread claims cores and queues them for the worker.
"""

import selectors
import signal
import time
from collections.abc import Callable, Sequence

from astbtd.announce import journal, systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.daemon import announcements, deadlock_monitor
from astbtd.daemon.deadlock_monitor import DeadlockMonitorThread
from astbtd.daemon.death_monitor import GRACE, DeathMonitor
from astbtd.daemon.extraction_monitor import ExtractionMonitor
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.object_monitor import MODULES_LOADED, ObjectMonitor
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.daemon.status_updates import StatusUpdater
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.symbol_monitor import SymbolMonitor
from astbtd.daemon.watch_assembly import make_watch_thread
from astbtd.daemon.watch_thread import RecheckPostponed, Rescan, UpdateSettings, WatchState, WatchThread
from astbtd.daemon.worker import Worker
from astbtd.daemon.worker_assembly import WorkerParts
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.event_loop import Timers, WakeupDescriptor, only_wake_up
from astbtd.pipeline.components import Components, assemble
from astbtd.pipeline.stages import crash_loops
from astbtd.settings import Settings

_JOURNAL_RETRY = 5.0  # seconds between two attempts to send the entries that the journal did not accept
_ANSWER_CHECK = 2.0  # seconds between two searches for journal entries of collectors, and for debug files
_STATUS_RETRY = 1.0  # seconds between two attempts to send the status to a service manager that did not accept it
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_START_EXTENSION = 60_000_000  # microseconds by which each of these messages extends the time for the start
_START_REPORT = 5.0  # seconds between two messages to the service manager during the first scan


class Daemon:
    """One daemon on one store.

    `reload` reads the configuration again and raises AstbtdError if it is invalid. `check_command` is the command line
    of `astbtd check`.
    """

    _watch: WatchThread  # created by `run`, when the store exists

    def __init__(self, settings: Settings, reload: Callable[[], Settings], check_command: Sequence[str]) -> None:
        self._settings = settings
        self._reload = reload
        self._wakeup = WakeupDescriptor((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._timers = Timers()
        self._worker = Worker(self._wakeup.wake)
        self._components = self._assemble(settings)
        store = self._components.store
        self._statistics = StoreStatistics(store)
        self._extractions = ExtractionMonitor(store, self._statistics)
        self._symbols = SymbolMonitor(settings, self._components, journal.log, self._extractions.request)
        interrupt = self._worker.raise_if_stopping
        self._maintenance = Maintenance(store, settings.retention, self._statistics, interrupt, self._symbols)
        self._readiness = ReadinessMonitor(check_command, self._wakeup.wake)
        self._deaths = DeathMonitor(store, self._worker.submit)
        self._objects = ObjectMonitor()
        self._deadlock_monitor: DeadlockMonitorThread | None = None
        self._finished = WatchState()  # its requests are followed up
        self._reload_requested = False
        self._loops = crash_loops(self._components, settings)
        self._rate_limited = RateLimitedJournal()
        self._jobs = WorkerParts(
            self._worker,
            self._loops,
            self._maintenance,
            self._statistics,
            self._rate_limited,
            self._deaths,
            self._objects,
            self._extractions,
        )
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
            receivers = self._worker, self._rate_limited, self._deaths
            self._watch = make_watch_thread(self._settings, self._components, *receivers, self._wakeup.wake)
            selector.register(self._wakeup.fileno(), selectors.EVENT_READ)
            try:
                self._watch.start(quiet=store.is_new)
                if not self._wait_for_first_scan(selector):
                    return
                self._start()
                while self._run_once():
                    selector.select(self._timers.seconds_until_next())
            finally:
                self._stop()

    def _wait_for_first_scan(self, selector: selectors.BaseSelector) -> bool:
        """Wait until the cores that are there are claimed. Return False if the daemon is to stop before that."""
        signals: set[signal.Signals] = set()
        while not self._watch.state.is_started:
            self._watch.raise_error()
            if not self._watch.is_overdue:
                systemd.notify(f"EXTEND_TIMEOUT_USEC={_START_EXTENSION}")
            selector.select(_START_REPORT)
            signals |= self._wakeup.take_signals()
            if signals & _STOP_SIGNALS:
                return False
        self._reload_requested = signal.SIGHUP in signals
        return True

    def _start(self) -> None:
        """Start the worker; then report that the daemon is ready."""
        announcements.restore_loops(self._loops, self._components.store)
        self._jobs.configure(self._settings, self._components)
        self._worker.expect_more(self._watch.state.has_postponed)
        self._worker.request_maintenance(urgent=True)  # it counts the crashes in the store, for the status
        self._worker.start()
        self._schedule_timers()
        self._restart_deadlock_monitor()
        self._status.update(self._watch.state)
        systemd.notify("READY=1")
        self._deaths.note_running(self._watch.state.asterisks, self._watch.state.rescans)
        self._objects.note_running(self._watch.state.asterisks)
        self._keep_objects()
        self._readiness.request_check()

    def _run_once(self) -> bool:
        """Run the loop once: handle all that has happened. Return False when the daemon is to stop."""
        signals = self._wakeup.take_signals()
        self._watch.raise_error()
        if signal.SIGHUP in signals or self._reload_requested:
            self._reload_settings()
        self._timers.run_due()
        self._finish_requests()
        self._note_asterisks()
        self._announce_ended_loops()
        self._claim_postponed()
        self._update_status()
        return not signals & _STOP_SIGNALS

    def _stop(self) -> None:
        """Stop all threads. Claims that are not processed stay on disk, where the next start finds them."""
        systemd.notify("STOPPING=1")
        self._readiness.stop()
        if self._deadlock_monitor:
            self._deadlock_monitor.stop()
        self._watch.stop()
        for claim in self._worker.stop():
            self._components.claims.suspend(claim)
        journal.pending.deliver()

    def _schedule_timers(self) -> None:
        self._timers.schedule("rescan", self._settings.watch.rescan, self._request_rescan)
        self._timers.schedule("retention", self._settings.retention.every, self._request_retention)
        if interval := systemd.watchdog_interval():
            self._timers.schedule("watchdog", interval / 2, self._ping_watchdog)

    def _request_rescan(self) -> None:
        self._watch.request(Rescan())

    def _finish_requests(self) -> None:
        """Do what follows a scan or a change of settings that the watch thread has completed since the last call."""
        state = self._watch.state
        if state.rescans != self._finished.rescans:
            self._follow_rescan()
        if state.updates != self._finished.updates:
            journal.log("configuration reloaded")
            systemd.notify("READY=1")
        self._finished = state

    def _follow_rescan(self) -> None:
        self._rate_limited.reset()
        self._status.allow_more_entries()
        self._worker.retry_deferred()
        self._extractions.request()
        self._check_deaths()
        self._keep_objects()
        if self._readiness.problems:  # somebody may have fixed them meanwhile
            self._readiness.request_check()

    def _request_retention(self) -> None:
        self._maintenance.mark_full_run()
        self._worker.request_maintenance(urgent=True)

    def _ping_watchdog(self) -> None:
        if not self._worker.is_overdue and not self._watch.is_overdue:
            systemd.notify("WATCHDOG=1")

    def _note_asterisks(self) -> None:
        """If an Asterisk was started, check the readiness and keep its objects; if one has ended, look for its core."""
        started, ended = self._deaths.note_running(self._watch.state.asterisks, self._watch.state.rescans)
        self._objects.note_running(self._watch.state.asterisks)
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

    def _announce_ended_loops(self) -> None:
        announcements.announce_ended_loops(self._loops, self._components.store)
        self._timers.cancel("loops")
        remaining = self._loops.seconds_until_next_end()
        if remaining is not None:
            self._timers.schedule("loops", remaining, only_wake_up)

    def _claim_postponed(self) -> None:
        """Have more of the cores claimed for which there was no room, once most of the queue is processed."""
        state = self._watch.state
        if (state.has_postponed and self._worker.is_almost_empty) or state.has_postponed_foreign:
            self._watch.request(RecheckPostponed())
        self._worker.expect_more(state.has_postponed)

    def _update_status(self) -> None:
        """Update the status, and retry soon what the journal or the service manager did not accept."""
        self._timers.schedule_while(bool(journal.pending), "journal", _JOURNAL_RETRY, self._retry_journal)
        accepted = self._status.update(self._watch.state)
        self._timers.schedule_while(not accepted, "status", _STATUS_RETRY, only_wake_up)
        awaits = self._maintenance.awaits_answers
        self._timers.schedule_while(awaits, "answers", _ANSWER_CHECK, self._worker.request_maintenance)

    def _retry_journal(self) -> None:
        if journal.pending.deliver():
            self._worker.retry_deferred()  # crashes that could not be announced

    def _reload_settings(self) -> None:
        """Reload the configuration. If it is invalid, keep the current one and show that in the status.

        A reload is completed when the watch thread has scanned all directories with the new settings.
        """
        self._reload_requested = False
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
            systemd.notify("READY=1")
        else:
            self._statistics.clear_failure("configuration")
            self._apply(settings, components)

    def _apply(self, settings: Settings, components: Components) -> None:
        self._settings, self._components = settings, components
        self._loops.update_settings(settings.crash_loop)
        self._maintenance.update_settings(settings.retention)
        self._symbols.update_settings(settings, components)
        self._watch.request(UpdateSettings(settings, components.claims))
        self._jobs.configure(settings, components)
        self._schedule_timers()
        self._readiness.request_check()
        self._restart_deadlock_monitor()

    def _restart_deadlock_monitor(self) -> None:
        self._deadlock_monitor = deadlock_monitor.restart(self._deadlock_monitor, self._settings, self._components)

    def _assemble(self, settings: Settings) -> Components:
        return assemble(settings, self._worker.raise_if_stopping, lambda needed: self._maintenance.make_room(needed))
