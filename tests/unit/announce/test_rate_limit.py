"""What anybody can cause as often as he likes is said so often, and then counted."""

import pytest

from astbtd.announce import systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.errors import AstbtdError


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that journald would have got."""
    messages: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: messages.append(message))
    return messages


def test_a_few_are_all_said(said: list[str]) -> None:
    sparing = RateLimitedJournal()

    sparing.refused("/srv/core", "it is damaged")
    sparing.warn("not watched: /srv")
    sparing.not_unpacked("/srv/core.zst", AstbtdError("it is cut short", "fetch it again"))
    sparing.go_on()

    assert said == [
        "/srv/core is left alone: it is damaged",
        "not watched: /srv",
        "/srv/core.zst is left alone: it is cut short; fetch it again",
    ]


def test_of_very_many_the_rest_is_counted(said: list[str]) -> None:
    sparing = RateLimitedJournal()

    for number in range(1000):
        sparing.refused(f"/srv/core.{number}", "it is damaged")
    sparing.go_on()

    assert len(said) == 21
    assert said[-1] == "980 more entries on files left alone or places not watched, too many to be said"


def test_afterwards_as_many_are_said_again(said: list[str]) -> None:
    sparing = RateLimitedJournal()
    for _ in range(2):
        for _ in range(30):
            sparing.refused("/srv/core", "it is damaged")
        sparing.go_on()

    assert len(said) == 2 * 21
