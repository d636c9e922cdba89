"""What Asterisk says of its locks, where it does."""

from pathlib import Path

import pytest

from astbtd.asterisk import console, lock_console
from astbtd.asterisk.console import Answer
from astbtd.model.deadlock_capture import LocksCli

UNKNOWN = "No such command 'core show locks' (type 'core show help core show locks' for other possible commands)\n"


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (Answer("=== Currently Held Locks\n", 7), LocksCli.OK, "=== Currently Held Locks\n"),
        (Answer(UNKNOWN, 7), LocksCli.UNAVAILABLE, UNKNOWN),
        (Answer("", 7), LocksCli.UNAVAILABLE, "`core show locks` cannot be asked: no answer\n"),
        (Answer("", None, "p: gone"), LocksCli.UNAVAILABLE, "`core show locks` cannot be asked: p: gone\n"),
        (
            Answer("=== Thr", 7, "p: no answer in time", in_time=False),
            LocksCli.TIMEOUT,
            "=== Thr\n`core show locks` was not answered within 10 s.\n",
        ),
    ],
)
def test_locks_are_listed_or_not_and_why(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, outcome: LocksCli, said: str
) -> None:
    monkeypatch.setattr(console, "ask_patiently", lambda *_: answer)

    assert lock_console.listed(Path("/run/asterisk/asterisk.ctl"), 7, 10.0) == (outcome, said)
