"""The monitor reads the journal from where it stopped, and claims each death once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.asterisk import pbx_users
from astbtd.claims.claim import Claim, Claims
from astbtd.daemon import death_monitor
from astbtd.daemon.death_monitor import GRACE, DeathMonitor
from astbtd.store.store import Store
from tests.support.finding import make_claims

NOW = 1_795_000_000.0


@dataclass
class Journal:
    """A journal with deaths at these times; `since` is what was asked for last."""

    deaths: list[float] = field(default_factory=list)
    since: float | None = None

    def entries_since(self, _: Sequence[Mapping[str, str]], since: float) -> Iterator[Mapping[str, object]]:
        self.since = since
        for at in self.deaths:
            yield {
                "__REALTIME_TIMESTAMP": datetime.fromtimestamp(at, UTC),
                "_PID": 1,
                "_UID": 0,
                "MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15",
                "UNIT": "asterisk.service",
                "INVOCATION_ID": str(at),
                "EXIT_CODE": "killed",
                "EXIT_STATUS": 11,
            }


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal()
    monkeypatch.setattr(systemd, "entries_since", journal.entries_since)
    monkeypatch.setattr(pbx_users, "find_units", lambda _: {"asterisk.service": None})
    monkeypatch.setattr("time.time", lambda: NOW)
    return journal


@dataclass(frozen=True)
class Clock:
    """Stands in for the class datetime."""

    time: Callable[[], float]

    def now(self, zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(self.time(), zone)


def line_of_kernel(at: float) -> Mapping[str, object]:
    """The line about the crash of a program called asterisk."""
    text = "asterisk[4243]: segfault at 10 ip 00007f12 sp 00007ffd error 4 in app_dial.so[7f1200000000+9000]"
    stamp = datetime.fromtimestamp(at, UTC)
    return {"__REALTIME_TIMESTAMP": stamp, "_TRANSPORT": "kernel", "_BOOT_ID": "0f" * 16, "MESSAGE": text}


@dataclass
class Bench:
    """A monitor, and the deaths that it has claimed."""

    store: Store
    claims: Claims
    claimed: list[Claim] = field(default_factory=list)

    def monitor(self) -> DeathMonitor:
        return DeathMonitor(self.store, self.claimed.append)

    def check(self) -> list[float]:
        """Look for deaths as a daemon that was just started, and return the times of those it claims."""
        self.claimed.clear()
        self.monitor().check_if_due(self.claims, ("asterisk",))
        for claim in self.claimed:
            claim.close()
        return [claim.record.facts.crashed_at.timestamp() for claim in self.claimed]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    store = Store(tmp_path / "store")
    store.prepare()
    return Bench(store, make_claims(store.root))


def test_deaths_before_the_first_start_are_not_recorded(bench: Bench, journal: Journal) -> None:
    journal.deaths = [NOW - 1000]

    assert bench.check() == []
    assert bench.check() == []


def test_a_death_while_the_daemon_was_down_is_claimed_once(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.check()
    journal.deaths = [NOW + 100]
    monkeypatch.setattr("time.time", lambda: NOW + 3600)

    assert bench.check() == [NOW + 100]
    assert bench.check() == []


def test_a_death_of_just_now_is_left_to_the_next_look(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.check()
    journal.deaths = [NOW + 100]
    monkeypatch.setattr("time.time", lambda: NOW + 100 + GRACE / 2)
    assert bench.check() == []

    monkeypatch.setattr("time.time", lambda: NOW + 100 + GRACE * 2)

    assert bench.check() == [NOW + 100]


def test_a_death_after_the_clock_was_set_back_is_claimed(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.check()
    monkeypatch.setattr("time.time", lambda: NOW - 1e6)
    journal.deaths = [NOW - 1e6 - 2 * GRACE]

    assert bench.check() == [NOW - 1e6 - 2 * GRACE]
    assert bench.check() == []


def test_a_death_that_was_recorded_is_not_claimed_again_after_retention(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.check()
    journal.deaths = [NOW + 100]
    monkeypatch.setattr("time.time", lambda: NOW + 3600)
    bench.check()
    (claim,) = bench.claimed
    bench.store.collected.add(claim.record.facts.identity)
    bench.claims.forget(claim.id)
    (bench.store.incoming / "deaths").write_text(f"{NOW}\n")

    assert bench.check() == []


def test_processes_that_started_and_ended_are_noticed(bench: Bench) -> None:
    monitor = bench.monitor()

    assert monitor.note_running(frozenset((1, 2))) == (True, False)
    assert monitor.note_running(frozenset((1, 2))) == (False, False)
    assert monitor.note_running(frozenset((2, 3))) == (True, True)


@pytest.mark.usefixtures("journal")
def test_a_program_of_another_user_that_crashes_after_the_pbx_was_stopped_is_no_death_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([NOW, NOW + 600, NOW + 1200])
    monkeypatch.setattr(death_monitor, "datetime", Clock(lambda: next(times)))
    bench.check()
    monitor = bench.monitor()
    for number, pids in enumerate((frozenset((4242,)), frozenset((4242,)), frozenset[int]())):
        monitor.note_running(pids, number)
    lines = [line_of_kernel(NOW + at) for at in (300, 900, 3000)]
    monkeypatch.setattr(systemd, "entries_since", lambda *_: iter(lines))
    monkeypatch.setattr("time.time", lambda: NOW + 7200)

    monitor.check(bench.claims, ("asterisk",))

    (claim,) = bench.claimed
    claim.close()
    assert claim.record.facts.crashed_at.timestamp() == NOW + 900


@pytest.mark.usefixtures("journal")
def test_the_process_id_of_a_death_in_a_container_is_that_of_its_core(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(death_monitor, "innermost_pid", lambda pid: pid - 4235)
    times = iter([NOW, NOW + 600])
    monkeypatch.setattr(death_monitor, "datetime", Clock(lambda: next(times)))
    bench.check()
    monitor = bench.monitor()
    monitor.note_running(frozenset((4242,)), 0)
    monitor.note_running(frozenset(), 1)
    monkeypatch.setattr(systemd, "entries_since", lambda *_: iter([line_of_kernel(NOW + 300)]))
    monkeypatch.setattr("time.time", lambda: NOW + 7200)

    monitor.check(bench.claims, ("asterisk",))

    (claim,) = bench.claimed
    claim.close()
    assert claim.record.facts.process.pid == 7


@pytest.mark.usefixtures("journal")
def test_the_journal_is_read_only_when_requested(bench: Bench, journal: Journal) -> None:
    monitor = bench.monitor()
    for _ in range(2):
        monitor.check_if_due(bench.claims, ("asterisk",))
    assert journal.since is None

    monitor.is_due = True
    monitor.check_if_due(bench.claims, ("asterisk",))

    assert journal.since is not None


@pytest.mark.usefixtures("journal")
def test_a_request_during_a_look_is_carried_out_by_the_next_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.check()
    monitor = bench.monitor()

    def request(*_: object) -> Iterator[Mapping[str, object]]:
        monitor.is_due = True
        return iter(())

    monkeypatch.setattr(systemd, "entries_since", request)
    monitor.check_if_due(bench.claims, ("asterisk",))

    assert monitor.is_due


def test_on_a_full_disk_a_death_is_claimed_once_by_the_same_daemon(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    logged: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: logged.append(message))
    bench.check()
    monitor = bench.monitor()
    journal.deaths = [NOW + 100]
    monkeypatch.setattr("time.time", lambda: NOW + 3600)
    monkeypatch.setattr("astbtd.lib.files.replace", fail)

    for _ in range(2):
        monitor.check(bench.claims, ("asterisk",))

    (claim,) = bench.claimed
    claim.close()
    assert len(logged) == 1
