"""The readiness monitor logs each failed check once, and again when it no longer fails."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.announce.journal import Event
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from tests.support.fixture_types import JournalEntry

FAILED = Event.CHECK_FAILED.value


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[JournalEntry]:
    """The entries sent to the journal."""
    entries: list[JournalEntry] = []
    monkeypatch.setattr(systemd, "send", lambda *entry: entries.append(entry))
    return entries


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The file whose content is what `astbtd check` prints."""
    return tmp_path / "output"


@pytest.fixture
def monitor(output: Path) -> Iterator[ReadinessMonitor]:
    monitor = ReadinessMonitor(["cat", str(output)], lambda: None)
    yield monitor
    monitor.stop()


def document(*failed: str) -> str:
    checks = [{"name": name, "state": "failed", "found": f"{name} is bad", "remedy": "mend it"} for name in failed]
    fine = {"name": "gdb", "state": "ok", "found": "gdb 16.3", "remedy": None}
    return json.dumps({"usable": not failed, "checks": [*checks, fine]})


def check(monitor: ReadinessMonitor) -> None:
    """Run one check and wait until it has ended."""
    before = set(threading.enumerate())
    monitor.request_check()
    join_threads_besides(before)


def join_threads_besides(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_nothing_is_logged_if_nothing_fails(monitor: ReadinessMonitor, output: Path, sent: list[JournalEntry]) -> None:
    output.write_text(document())

    check(monitor)

    assert (sent, monitor.problems) == ([], ())


def test_a_failed_check_is_logged_with_its_remedy(
    monitor: ReadinessMonitor, output: Path, sent: list[JournalEntry]
) -> None:
    output.write_text(document("core-limit", "dumpable"))

    check(monitor)

    (problem,) = monitor.problems
    assert problem == "the next crash will not give a usable backtrace (core-limit, dumpable), see astbtd check"
    (message, priority, fields), _ = sent
    assert message == ("the next crash will not give a usable backtrace: core-limit: core-limit is bad; hint: mend it")
    assert (priority, fields) == (
        3,
        {"MESSAGE_ID": FAILED, "ASTBTD_CHECK": "core-limit", "ASTBTD_REMEDY": "mend it"},
    )


def test_a_check_that_continues_to_fail_is_logged_once(
    monitor: ReadinessMonitor, output: Path, sent: list[JournalEntry]
) -> None:
    output.write_text(document("core-limit"))
    check(monitor)
    output.write_text(document("core-limit", "dumpable"))

    check(monitor)

    assert [fields.get("ASTBTD_CHECK") for _, _, fields in sent] == ["core-limit", "dumpable"]


def test_a_check_that_no_longer_fails_is_logged_and_may_fail_again(
    monitor: ReadinessMonitor, output: Path, sent: list[JournalEntry]
) -> None:
    for failed in (["core-limit"], [], ["core-limit"]):
        output.write_text(document(*failed))
        check(monitor)

    assert [message.split(";")[0] for message, _, _ in sent] == [
        "the next crash will not give a usable backtrace: core-limit: core-limit is bad",
        "check core-limit no longer fails",
        "the next crash will not give a usable backtrace: core-limit: core-limit is bad",
    ]


@pytest.mark.parametrize("text", ["", "Traceback\nsome error\n", '{"usable": 3}', "[]"])
def test_invalid_output_changes_nothing(
    monitor: ReadinessMonitor, output: Path, sent: list[JournalEntry], text: str
) -> None:
    output.write_text(document("core-limit"))
    check(monitor)
    output.write_text(text)

    check(monitor)

    assert sent[1][0].startswith("astbtd check failed: ")
    assert monitor.problems != ()


def test_only_a_change_is_notified(output: Path, sent: list[JournalEntry]) -> None:
    woken: list[int] = []
    monitor = ReadinessMonitor(["cat", str(output)], lambda: woken.append(len(sent)))
    for failed in ([], ["gdb"], ["gdb"], []):
        output.write_text(document(*failed))
        check(monitor)

    assert woken == [0, 1, 2]  # the first result is a change, too


def test_the_result_of_the_last_check_is_known(monitor: ReadinessMonitor, output: Path) -> None:
    assert monitor.usable is None

    output.write_text(document("gdb"))
    check(monitor)
    assert monitor.usable is False

    output.write_text(document())
    check(monitor)
    assert monitor.usable is True


def test_a_check_requested_while_one_runs_follows_it(tmp_path: Path, sent: list[JournalEntry]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for gate in (first, second):
        os.mkfifo(gate)
    # Runs until somebody has written an output, the first one and then all others.
    script = f"if test -p {first}; then cat {first}; rm {first}; else cat {second}; fi"
    monitor = ReadinessMonitor(["sh", "-c", script], lambda: None)
    before = set(threading.enumerate())
    monitor.request_check()
    with first.open("w") as output:  # opens when somebody reads
        monitor.request_check()
        monitor.request_check()
        output.write(document("core-limit"))
    with second.open("w") as output:
        output.write(document("dumpable"))
    join_threads_besides(before)

    assert [fields["ASTBTD_CHECK"] for _, _, fields in sent if fields] == ["core-limit", "dumpable"]


def test_stopping_ends_a_check_that_hangs(sent: list[JournalEntry]) -> None:
    monitor = ReadinessMonitor(["sleep", "1000"], lambda: None)
    monitor.request_check()

    monitor.stop()

    assert sent == []
