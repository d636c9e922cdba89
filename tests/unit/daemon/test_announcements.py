"""Announcements of crashes and crash loops."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.daemon import announcements
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings
from astbtd.store.store import Store
from tests.support.builders import claim, crash


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    messages: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: messages.append(message))
    return messages


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    store.mark_initialized()
    return store


@pytest.fixture
def loops(store: Store) -> CrashLoops:
    return CrashLoops(CrashLoopSettings(crashes=2, within=600.0), store.incoming / "loops")


def announce(loops: CrashLoops, store: Store, one: Crash, *, quiet: bool = False) -> None:
    claimed = claim()
    claimed.record = replace(claimed.record, quiet=quiet)
    announcements.announce_crash(loops, store, RateLimitedJournal(), claimed, one, store.directory(one.id))


def kinds(messages: list[str]) -> list[str]:
    return [message.split(":")[0] for message in messages]


def test_crashes_of_a_loop_are_announced_only_until_the_loop_begins(
    loops: CrashLoops, store: Store, sent: list[str]
) -> None:
    for number in range(1, 5):
        announce(loops, store, crash(number, pid=number))

    assert kinds(sent) == ["Asterisk crashed", "Asterisk crashed", "crash loop"]


def test_a_core_that_existed_before_the_store_gets_no_entry_of_its_own(
    loops: CrashLoops, store: Store, sent: list[str]
) -> None:
    announce(loops, store, crash(1), quiet=True)
    assert len(sent) == 1
    (store.incoming / "new").touch()

    announce(loops, store, crash(2, pid=2, signature="ffffffffffff"), quiet=True)

    assert len(sent) == 1


def test_a_crash_whose_announcement_failed_is_counted_once(
    loops: CrashLoops, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise systemd.JournalUnavailable("the journal is unavailable")

    monkeypatch.setattr(systemd, "send", refuse)
    for _ in range(3):
        with pytest.raises(AstbtdError):
            announce(loops, store, crash(1))

    assert loops.current == ()


def test_a_loop_that_was_not_announced_before_a_restart_is_announced(
    loops: CrashLoops, store: Store, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    recent = [
        replace(crash(pid=number), crashed_at=now - timedelta(seconds=number), announced_at=now) for number in (1, 2)
    ]
    monkeypatch.setattr(Store, "crashes", lambda _: iter(recent))

    announcements.restore_loops(loops, store)
    assert kinds(sent) == ["crash loop"]
    again = CrashLoops(CrashLoopSettings(crashes=2, within=600.0), store.incoming / "loops")
    announcements.restore_loops(again, store)

    assert kinds(sent) == ["crash loop"]


def test_a_loop_is_announced_even_if_it_cannot_be_saved(
    loops: CrashLoops, store: Store, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: CrashLoops) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CrashLoops, "save", fail)
    for number in (1, 2):
        announce(loops, store, crash(number, pid=number))

    assert kinds(sent)[-1] == "crash loop"
