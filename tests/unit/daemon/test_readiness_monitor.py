"""What the daemon makes of `astbtd check`: each failure said once, and taken back when it is over."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.announce.journal import Event
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from tests.unit.announce.test_journal import JournalEntry

FAILED = Event.CHECK_FAILED.value


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[JournalEntry]:
    """The entries that journald would have got."""
    entries: list[JournalEntry] = []
    monkeypatch.setattr(systemd, "send", lambda *entry: entries.append(entry))
    return entries


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """The file whose content is what `astbtd check` prints."""
    return tmp_path / "answer"


@pytest.fixture
def checker(answers: Path) -> Iterator[ReadinessMonitor]:
    checker = ReadinessMonitor(["cat", str(answers)], lambda: None)
    yield checker
    checker.stop()


def document(*failed: str) -> str:
    checks = [{"name": name, "state": "failed", "found": f"{name} is bad", "remedy": "mend it"} for name in failed]
    fine = {"name": "gdb", "state": "ok", "found": "gdb 16.3", "remedy": None}
    return json.dumps({"usable": not failed, "checks": [*checks, fine]})


def ask(checker: ReadinessMonitor) -> None:
    """One check, to its end."""
    before = set(threading.enumerate())
    checker.ask()
    join_threads_besides(before)


def join_threads_besides(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_where_nothing_fails_nothing_is_said(
    checker: ReadinessMonitor, answers: Path, sent: list[JournalEntry]
) -> None:
    answers.write_text(document())

    ask(checker)

    assert (sent, checker.problems) == ([], ())


def test_what_fails_is_said_with_what_helps(checker: ReadinessMonitor, answers: Path, sent: list[JournalEntry]) -> None:
    answers.write_text(document("core-limit", "dumpable"))

    ask(checker)

    assert checker.problems == ("the next crash gives no usable backtrace (core-limit, dumpable), see astbtd check",)
    (message, priority, fields), _ = sent
    assert message == ("the next crash gives no usable backtrace: core-limit: core-limit is bad; what helps: mend it")
    assert (priority, fields) == (
        3,
        {"MESSAGE_ID": FAILED, "ASTBTD_CHECK": "core-limit", "ASTBTD_REMEDY": "mend it"},
    )


def test_what_goes_on_failing_is_said_once(checker: ReadinessMonitor, answers: Path, sent: list[JournalEntry]) -> None:
    answers.write_text(document("core-limit"))
    ask(checker)
    answers.write_text(document("core-limit", "dumpable"))

    ask(checker)

    assert [fields.get("ASTBTD_CHECK") for _, _, fields in sent] == ["core-limit", "dumpable"]


def test_what_fails_no_longer_is_said_and_may_fail_again(
    checker: ReadinessMonitor, answers: Path, sent: list[JournalEntry]
) -> None:
    for failed in (["core-limit"], [], ["core-limit"]):
        answers.write_text(document(*failed))
        ask(checker)

    assert [message.split(";")[0] for message, _, _ in sent] == [
        "the next crash gives no usable backtrace: core-limit: core-limit is bad",
        "check core-limit no longer fails",
        "the next crash gives no usable backtrace: core-limit: core-limit is bad",
    ]


@pytest.mark.parametrize("text", ["", "Traceback\nsome error\n", '{"usable": 3}', "[]"])
def test_what_is_no_answer_changes_nothing(
    checker: ReadinessMonitor, answers: Path, sent: list[JournalEntry], text: str
) -> None:
    answers.write_text(document("core-limit"))
    ask(checker)
    answers.write_text(text)

    ask(checker)

    assert sent[1][0].startswith("astbtd check gave no answer: ")
    assert checker.problems != ()


def test_only_a_change_wakes_the_daemon(answers: Path, sent: list[JournalEntry]) -> None:
    woken: list[int] = []
    checker = ReadinessMonitor(["cat", str(answers)], lambda: woken.append(len(sent)))
    for failed in ([], ["gdb"], ["gdb"], []):
        answers.write_text(document(*failed))
        ask(checker)

    assert woken == [1, 2]


def test_a_check_that_is_asked_for_while_one_runs_follows_it(tmp_path: Path, sent: list[JournalEntry]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for gate in (first, second):
        os.mkfifo(gate)
    # Runs until somebody has written an answer, the first one and then all others.
    script = f"if test -p {first}; then cat {first}; rm {first}; else cat {second}; fi"
    checker = ReadinessMonitor(["sh", "-c", script], lambda: None)
    before = set(threading.enumerate())
    checker.ask()
    with first.open("w") as answer:  # opens when somebody reads
        checker.ask()
        checker.ask()
        answer.write(document("core-limit"))
    with second.open("w") as answer:
        answer.write(document("dumpable"))
    join_threads_besides(before)

    assert [fields["ASTBTD_CHECK"] for _, _, fields in sent if fields] == ["core-limit", "dumpable"]


def test_stopping_ends_a_check_that_hangs(sent: list[JournalEntry]) -> None:
    checker = ReadinessMonitor(["sleep", "1000"], lambda: None)
    checker.ask()

    checker.stop()

    assert sent == []
