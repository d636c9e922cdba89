"""The main loop, on real directories. Only gdb, the journal and the list of directories of this machine are replaced.

The daemon runs in the main thread, since it handles signals. Each test drives it from another thread.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.claim_file import SUFFIX
from astbtd.claims.finder import FinderResult
from astbtd.daemon import main_loop, watch_thread, worker, worker_assembly
from astbtd.daemon.main_loop import Daemon
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.errors import AstbtdError, BadConfiguration
from astbtd.extraction.extracted_core import NO_EXTRACTION, ExtractionResult
from astbtd.extraction.gdb_runner import Extractor
from astbtd.model.crash import CoreState, Crash, DiscoveredBy
from astbtd.settings import (
    AsteriskSettings,
    CrashLoopSettings,
    DeadlockSettings,
    GdbSettings,
    Limits,
    RetentionSettings,
    Settings,
    WatchSettings,
)
from astbtd.sources import watched_directories
from astbtd.sources.watched_directories import WatchedDirectories
from astbtd.store.store import Store
from astbtd.watch.supervisor import WatchSupervisor
from tests.support.builders import DeadProcess
from tests.support.fixture_types import Dump
from tests.support.harness import ServiceManager

FAST = 0.02  # seconds, for intervals of timers
TIMEOUT = 30.0  # seconds; only a failing test waits for so long


@dataclass
class Gdb:
    """Replaces gdb: waits until the gate is open, then fails with the next of `errors`, or finds nothing."""

    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    errors: list[Exception] = field(default_factory=list)

    def extract(self, extractor: Extractor, *_: object, **__: object) -> ExtractionResult:
        self.reached.set()
        while not self.gate.wait(FAST):
            extractor.check_interrupt()
        if self.errors:
            raise self.errors.pop(0)
        return NO_EXTRACTION


@dataclass
class Journal:
    """Replaces the journal: keeps the messages, or accepts none while it is unavailable."""

    messages: list[str] = field(default_factory=list)
    available: bool = True

    def send(self, message: str, *_: object) -> None:
        if not self.available:
            raise systemd.JournalUnavailable("the journal is unavailable")
        self.messages.append(message)

    def contains(self, text: str) -> bool:
        return any(text in message for message in self.messages)


@dataclass
class Machine:
    """Replaces the list of directories: the configured ones, whatever runs on this machine."""

    process_ids: frozenset[int] = frozenset()

    def find_current(self, settings: Settings, _: Path) -> WatchedDirectories:
        return WatchedDirectories(
            core_directories=settings.watch.directories,
            process_ids=self.process_ids,
            identity=PbxIdentity(frozenset((0, os.geteuid()))),
        )


@dataclass
class Bench:
    """A daemon to be started, and its environment. `settings` may be changed before `run`, and before `reload`."""

    settings: Settings
    store: Store
    manager: ServiceManager
    check: Path
    invalid: str = ""

    def run(self, script: Callable[[], None]) -> None:
        """Run the daemon; when it is ready, run `script` in another thread, and stop the daemon when that has ended."""
        errors: list[BaseException] = []

        def drive() -> None:
            try:
                self.wait_for(lambda: "READY=1" in self.manager.states, "the daemon to be ready")
                script()
            except BaseException as error:  # raised again in the main thread
                errors.append(error)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        driver = threading.Thread(target=drive)
        self.manager.states.clear()
        daemon = Daemon(self.settings, self._reload, ["cat", str(self.check)])
        driver.start()
        try:
            daemon.run()
        finally:
            driver.join()
        if errors:
            raise errors[0]

    def reload(self) -> None:
        """Have the daemon reload its configuration, and wait until it has."""
        self.manager.states.clear()
        os.kill(os.getpid(), signal.SIGHUP)
        self.wait_for(lambda: "READY=1" in self.manager.states, "the reload")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for `condition`, checking it whenever the daemon sends a message, and now and then."""
        attempts = int(TIMEOUT / FAST)
        while not condition():
            attempts -= 1
            assert attempts, f"timeout while waiting for {what}: {self.manager.status}"
            self.manager.receive(FAST)

    def wait_for_crashes(self, count: int) -> list[Crash]:
        """Wait until this number of crashes is recorded and no claim is left; return them, newest first."""

        def are_processed() -> bool:
            return len(self.store.ids()) == count and not self.claim_files()

        self.wait_for(are_processed, f"{count} crashes")
        return list(self.store.crashes())

    def wait_for_status(self, text: str) -> None:
        self.wait_for(lambda: text in self.manager.status, f"the status {text!r}")

    def claim_files(self) -> list[Path]:
        return list(self.store.incoming.glob(f"*{SUFFIX}"))

    def _reload(self) -> Settings:
        if self.invalid:
            raise BadConfiguration("astbtd.yaml", [self.invalid])
        return self.settings


@pytest.fixture(autouse=True)
def _harmless_signals() -> Iterator[None]:
    """Let a signal that arrives when the daemon has ended already do nothing."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def gdb(monkeypatch: pytest.MonkeyPatch) -> Gdb:
    gdb = Gdb()
    gdb.gate.set()
    monkeypatch.setattr(Extractor, "extract", lambda extractor, *_, **__: gdb.extract(extractor))
    return gdb


@pytest.fixture(autouse=True)
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal()
    monkeypatch.setattr(systemd, "send", journal.send)
    return journal


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(watched_directories, "find_current", machine.find_current)
    return machine


@pytest.fixture
def bench(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A daemon that watches the spool; its readiness check finds nothing wrong."""
    check = tmp_path / "check.json"
    check.write_text('{"usable": true, "checks": []}')
    settings = Settings(
        store=str(tmp_path / "store"),
        asterisk=AsteriskSettings(run_directory=str(tmp_path)),
        watch=WatchSettings(directories=(str(spool),)),
        gdb=GdbSettings(user="nobody"),
        retention=RetentionSettings(minimum_free=0.0),
    )
    manager = ServiceManager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    yield Bench(settings, Store(tmp_path / "store"), manager, check)
    manager.close()


def process(number: int) -> DeadProcess:
    """A crashed process of its own."""
    return DeadProcess(pid=number, random=number.to_bytes(16, "big"))


def test_cores_that_exist_at_the_start_are_collected_and_announced_together(
    bench: Bench, dump: Dump, journal: Journal
) -> None:
    dump(process(1), "core.1")
    dump(process(2), "core.2")

    bench.run(lambda: bench.wait_for_status("2 crashes kept"))

    assert {crash.core.found for crash in bench.store.crashes()} == {DiscoveredBy.START}
    assert not journal.contains("Asterisk crashed")
    assert not bench.claim_files()


def test_a_new_core_is_claimed_processed_and_announced(bench: Bench, dump: Dump, spool: Path, journal: Journal) -> None:
    def script() -> None:
        dump()
        (crash,) = bench.wait_for_crashes(1)
        assert (crash.core.found, crash.core.state) == (DiscoveredBy.EVENT, CoreState.KEPT)
        assert os.listdir(spool) == []
        bench.wait_for_status("1 crash kept")
        bench.wait_for_status("idle")

    bench.run(script)

    assert journal.contains("Asterisk crashed")
    assert "STOPPING=1" in bench.manager.states or bench.manager.receive(0)


def test_a_file_that_is_refused_is_logged(bench: Bench, tmp_path: Path, spool: Path, journal: Journal) -> None:
    def script() -> None:
        (tmp_path / "link").symlink_to(tmp_path / "core")
        (tmp_path / "link").rename(spool / "core")
        bench.wait_for(lambda: journal.contains(str(spool / "core")), "the refusal")

    bench.run(script)


def test_a_core_that_is_renamed_during_its_processing_is_recorded_at_its_new_path(
    bench: Bench, dump: Dump, spool: Path, gdb: Gdb
) -> None:
    def script() -> None:
        gdb.gate.clear()
        core = dump()
        bench.wait_for(gdb.reached.is_set, "gdb to run")
        core.rename(spool / "core.renamed")
        bench.wait_for_status("processing")
        gdb.gate.set()
        bench.wait_for_crashes(1)
        bench.wait_for(lambda: os.listdir(spool) == [], "the renamed core to be removed")

    bench.run(script)

    (crash,) = bench.store.crashes()
    assert crash.core.path == str(spool / "core.renamed")


def test_a_reload_applies_new_settings(bench: Bench, tmp_path: Path, journal: Journal) -> None:
    added = tmp_path / "added"
    added.mkdir()

    def script() -> None:
        bench.settings = replace(bench.settings, watch=WatchSettings(directories=(str(added),)))
        bench.reload()
        assert any(state == "RELOADING=1" for state in bench.manager.states)
        assert journal.contains("configuration reloaded")
        (added / "core").write_bytes(process(1).core())
        bench.wait_for_crashes(1)

    bench.run(script)


def test_an_invalid_configuration_changes_nothing_but_the_status(bench: Bench, dump: Dump, journal: Journal) -> None:
    def script() -> None:
        bench.invalid = "gdb.tiem: unknown key"
        bench.reload()
        bench.wait_for_status("configuration rejected, old settings in force")
        assert journal.contains("gdb.tiem")
        dump()
        bench.wait_for_crashes(1)

        bench.invalid = ""
        bench.reload()
        bench.wait_for(lambda: "rejected" not in bench.manager.status, "the status to be corrected")

    bench.run(script)


def test_another_store_is_rejected_until_a_restart(bench: Bench, tmp_path: Path) -> None:
    def script() -> None:
        bench.settings = replace(bench.settings, store=str(tmp_path / "other"))
        bench.reload()
        bench.wait_for_status("only after a restart")

    bench.run(script)

    assert not (tmp_path / "other").exists()


def test_a_claim_that_is_interrupted_by_sigterm_is_processed_after_the_next_start(
    bench: Bench, dump: Dump, gdb: Gdb
) -> None:
    def script() -> None:
        gdb.gate.clear()
        dump()
        bench.wait_for(gdb.reached.is_set, "gdb to run")

    bench.run(script)
    assert bench.store.ids() == []
    assert len(bench.claim_files()) == 1

    gdb.gate.set()
    bench.run(lambda: bench.wait_for_status("1 crash kept"))
    assert not bench.claim_files()


def test_cores_for_which_there_is_no_room_are_claimed_later(
    bench: Bench, dump: Dump, gdb: Gdb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_MAX_PENDING_FOUND", 2)
    for number in range(1, 6):
        dump(process(number), f"core.{number}")
    gdb.gate.clear()

    def script() -> None:
        bench.wait_for_status("more cores not claimed yet")
        assert len(bench.claim_files()) < 5
        gdb.gate.set()
        bench.wait_for_crashes(5)
        bench.wait_for_status("idle")
        bench.wait_for(lambda: not bench.store.is_new, "the maintenance of an idle daemon")

    bench.run(script)


def test_an_incomplete_core_is_examined_again_until_it_is_complete(
    bench: Bench, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_thread, "_FIRST_RECHECK", FAST)
    rechecks: list[int] = []
    recheck = WatchSupervisor.recheck_incomplete

    def counting_recheck(supervisor: WatchSupervisor) -> Iterator[FinderResult]:
        rechecks.append(1)
        return recheck(supervisor)

    monkeypatch.setattr(WatchSupervisor, "recheck_incomplete", counting_recheck)
    with (spool / "core").open("wb") as core:
        core.write(process(1).core())
        core.flush()

        def script() -> None:
            bench.wait_for(lambda: len(rechecks) >= 2, "the core to be examined again")
            assert bench.store.ids() == []
            core.close()
            bench.wait_for_crashes(1)

        bench.run(script)


def test_a_failed_core_is_shown_in_the_status_and_retried_by_a_rescan(
    bench: Bench, dump: Dump, gdb: Gdb, journal: Journal
) -> None:
    gdb.errors = [AstbtdError("gdb is not installed")]
    bench.settings = replace(bench.settings, watch=replace(bench.settings.watch, rescan=FAST))

    def script() -> None:
        dump()
        bench.wait_for_crashes(1)
        bench.wait_for(lambda: "not installed" not in bench.manager.status, "the status to be corrected")

    bench.run(script)

    assert journal.contains("gdb is not installed (will be retried)")


def test_an_unexpected_exception_is_reported_with_its_type(
    bench: Bench, dump: Dump, gdb: Gdb, journal: Journal
) -> None:
    gdb.errors = [ValueError("wrong index")]

    def script() -> None:
        core = dump()
        bench.wait_for_status("ValueError")
        assert journal.contains(f"{core}: ValueError: wrong index (will be retried)")

    bench.run(script)


def test_the_retention_timer_applies_the_limits(bench: Bench, dump: Dump) -> None:
    no_cores = RetentionSettings(minimum_free=0.0, cores=Limits(count=0), every=FAST)

    def script() -> None:
        dump()
        bench.wait_for_crashes(1)
        bench.settings = replace(bench.settings, retention=no_cores)
        bench.reload()
        bench.wait_for(lambda: next(bench.store.crashes()).core.state is CoreState.REMOVED, "the core to be removed")

    bench.run(script)


def test_crashes_wait_for_a_journal_that_accepts_no_entries(
    bench: Bench, dump: Dump, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_loop, "_JOURNAL_RETRY", FAST)

    def script() -> None:
        journal.available = False
        dump()
        bench.wait_for_status("the journal accepts no entries")
        assert len(bench.claim_files()) == 1
        journal.available = True
        bench.wait_for_crashes(1)
        bench.wait_for(lambda: "accepts no entries" not in bench.manager.status, "the status to be corrected")

    bench.run(script)

    assert journal.contains("Asterisk crashed")


def test_a_crash_loop_is_announced_shown_and_announced_to_have_ended(
    bench: Bench, dump: Dump, journal: Journal
) -> None:
    bench.settings = replace(bench.settings, crash_loop=CrashLoopSettings(crashes=2, within=6.0))

    def script() -> None:
        for number in (1, 2):
            dump(replace(process(number), returns_to=(0x40, 0x50)), f"core.{number}")
        bench.wait_for_status("crash loop since")
        bench.wait_for(lambda: journal.contains("crash loop has ended"), "the end of the loop")
        bench.wait_for(lambda: "crash loop since" not in bench.manager.status, "the status to be corrected")

    bench.run(script)


def test_the_watchdog_is_pinged_unless_the_worker_hangs(
    bench: Bench, dump: Dump, gdb: Gdb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", str(int(FAST * 2e6)))
    monkeypatch.setattr(worker_assembly, "_TIME_BEYOND_GDB", -1e9)  # every job is overdue at once

    def script() -> None:
        bench.wait_for(lambda: "WATCHDOG=1" in bench.manager.states, "a ping")
        gdb.gate.clear()
        dump()
        bench.wait_for(gdb.reached.is_set, "gdb to run")
        bench.wait_for_status("processing")
        bench.manager.states.clear()
        bench.reload()
        assert "WATCHDOG=1" not in bench.manager.states

    bench.run(script)


def test_a_new_asterisk_and_a_rescan_with_problems_request_a_check(
    bench: Bench, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[int] = []
    request_check = ReadinessMonitor.request_check

    def counting_request(monitor: ReadinessMonitor) -> None:
        requests.append(1)
        request_check(monitor)

    monkeypatch.setattr(ReadinessMonitor, "request_check", counting_request)
    bench.settings = replace(bench.settings, watch=replace(bench.settings.watch, rescan=FAST))

    def script() -> None:
        machine.process_ids = frozenset((4242,))
        bench.wait_for(lambda: len(requests) == 2, "the check for the new Asterisk")
        failed = {"name": "gdb", "state": "failed", "found": "no gdb", "remedy": "apt install gdb"}
        bench.check.write_text(f'{{"usable": false, "checks": [{failed}]}}'.replace("'", '"'))
        machine.process_ids = frozenset((4243,))
        bench.wait_for_status("will not give a usable backtrace (gdb)")
        bench.check.write_text('{"usable": true, "checks": []}')
        bench.wait_for(lambda: "usable backtrace" not in bench.manager.status, "the status to be corrected")

    bench.run(script)


def test_a_reload_starts_and_stops_the_deadlock_monitor(bench: Bench) -> None:
    def is_monitored() -> bool:
        return any(thread.name == "deadlock-monitor" for thread in threading.enumerate())

    def script() -> None:
        assert not is_monitored()
        bench.settings = replace(bench.settings, deadlock=DeadlockSettings(watch=True, interval=3600.0))
        bench.reload()
        assert is_monitored()
        bench.settings = replace(bench.settings, deadlock=DeadlockSettings())
        bench.reload()
        bench.wait_for(lambda: not is_monitored(), "the monitor to end")

    bench.run(script)


def test_directories_that_cannot_be_watched_are_logged_once(bench: Bench, tmp_path: Path, journal: Journal) -> None:
    missing = str(tmp_path / "missing")
    bench.settings = replace(bench.settings, watch=WatchSettings(directories=(missing,), rescan=FAST))

    def script() -> None:
        bench.wait_for_status(f"{missing} cannot be watched")
        bench.reload()

    bench.run(script)

    assert sum(missing in message for message in journal.messages) == 1


def test_the_status_is_sent_again_if_the_service_manager_did_not_accept_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_loop, "_STATUS_RETRY", FAST)
    notify = systemd.notify
    refusals = [True, True, True]

    def refuse_some(state: str, *arguments: float, **options: float) -> bool:
        if state.startswith("STATUS=") and refusals:
            refusals.pop()
            return False
        return notify(state, *arguments, **options)

    monkeypatch.setattr(systemd, "notify", refuse_some)

    bench.run(lambda: bench.wait_for_status("idle"))

    assert not refusals


def test_a_second_daemon_on_the_same_store_does_not_start(bench: Bench) -> None:
    bench.store.prepare()
    second = Daemon(bench.settings, lambda: bench.settings, ["true"])

    with bench.store.lock(), pytest.raises(AstbtdError, match="another astbtd"):
        second.run()
