"""Entries that any user can cause are written up to a limit, then counted."""

import pytest

from astbtd.announce import systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.errors import AstbtdError
from tests.support.builders import crash


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    sent: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: sent.append(message))
    return sent


def test_a_few_entries_are_all_written(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    limited.log_refused_core("/srv/core", "it is damaged", foreign=False)
    assert limited.warn("not watched: /srv")
    limited.log_unpack_error("/srv/core.zst", AstbtdError("it is truncated", "copy it again"), foreign=False)
    limited.reset()

    assert messages == [
        "/srv/core is ignored: it is damaged",
        "not watched: /srv",
        "/srv/core.zst is ignored: it is truncated; hint: copy it again",
    ]


def test_further_entries_are_counted(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    for number in range(1000):
        limited.log_refused_core(f"/srv/core.{number}", "it is damaged", foreign=False)
    limited.reset()

    assert len(messages) == 21
    assert messages[-1] == "980 more entries about ignored files or foreign crashes suppressed"


def test_after_a_reset_entries_are_written_again(messages: list[str]) -> None:
    limited = RateLimitedJournal()
    for _ in range(2):
        for _ in range(30):
            limited.log_refused_core("/srv/core", "it is damaged", foreign=False)
        limited.reset()

    assert len(messages) == 2 * 21


def test_entries_about_foreign_crashes_are_limited(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    for number in range(30):
        limited.announce_foreign_crash(crash(pid=number), "/srv/crashes")
    limited.reset()

    assert len(messages) == 21
    assert messages[-1] == "10 more entries about ignored files or foreign crashes suppressed"


def test_entries_about_files_of_others_suppress_none_about_the_pbx(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    for number in range(30):
        limited.log_refused_core(f"/tmp/core.{number}", "it is damaged", foreign=True)
    limited.log_refused_core("/srv/core", "it is damaged", foreign=False)

    assert (len(messages), messages[-1]) == (21, "/srv/core is ignored: it is damaged")


def test_an_entry_that_the_journal_did_not_accept_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def refuse(*_: object) -> None:
        raise systemd.JournalUnavailable("journald does not answer")

    limited = RateLimitedJournal()
    monkeypatch.setattr(systemd, "send", refuse)
    for _ in range(100):
        with pytest.raises(AstbtdError):
            limited.announce_foreign_crash(crash(), "/srv/crashes")
    monkeypatch.setattr(systemd, "send", lambda message, *_: sent.append(message))

    limited.announce_foreign_crash(crash(), "/srv/crashes")

    assert len(sent) == 1


def test_a_warning_beyond_the_limit_is_refused_and_accepted_after_a_reset(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    accepted = [limited.warn(f"not watched: /srv/{number}") for number in range(25)]
    limited.reset()

    assert accepted == [True] * 20 + [False] * 5
    assert len(messages) == 20
    assert limited.warn("not watched: /srv/24")
