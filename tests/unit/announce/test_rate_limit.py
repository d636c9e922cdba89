"""Entries that any user can cause are written up to a limit, then counted."""

import pytest

from astbtd.announce import systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.errors import AstbtdError


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    sent: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: sent.append(message))
    return sent


def test_a_few_entries_are_all_written(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    limited.log_refused_core("/srv/core", "it is damaged")
    limited.warn("not watched: /srv")
    limited.log_unpack_error("/srv/core.zst", AstbtdError("it is truncated", "copy it again"))
    limited.reset()

    assert messages == [
        "/srv/core is ignored: it is damaged",
        "not watched: /srv",
        "/srv/core.zst is ignored: it is truncated; hint: copy it again",
    ]


def test_further_entries_are_counted(messages: list[str]) -> None:
    limited = RateLimitedJournal()

    for number in range(1000):
        limited.log_refused_core(f"/srv/core.{number}", "it is damaged")
    limited.reset()

    assert len(messages) == 21
    assert messages[-1] == "980 more entries about ignored files or unwatched directories suppressed"


def test_after_a_reset_entries_are_written_again(messages: list[str]) -> None:
    limited = RateLimitedJournal()
    for _ in range(2):
        for _ in range(30):
            limited.log_refused_core("/srv/core", "it is damaged")
        limited.reset()

    assert len(messages) == 2 * 21
