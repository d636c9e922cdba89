"""The monitor requests a capture when Asterisk does not respond: once, and not too often."""

import os
import socket
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from astbtd.asterisk.console import Answer
from astbtd.daemon import deadlock_monitor
from astbtd.daemon.deadlock_monitor import DeadlockMonitor, DeadlockMonitorThread
from astbtd.model.deadlock_capture import AskedBy
from astbtd.settings import DeadlockSettings, Settings
from astbtd.store.captures import Captures
from tests.support.builders import NOON
from tests.support.deadlocks import capture, taskprocessor_listing

ALIVE, SILENT = Answer("3 calls processed\n", 4242), Answer("", 4242, "no answer in time", in_time=False)
OVERLOADED = Answer(taskprocessor_listing(("pjsip/distributor-00000012", 900, 501)), 4242)
NOBODY, UNREACHABLE = Answer("", None, "no such file"), Answer("", None, "no answer in time", in_time=False)


@dataclass
class Asterisk:
    """An Asterisk with a scripted console, and what the monitor did."""

    answer: Answer = ALIVE
    answers_to: dict[str, Answer] = field(default_factory=dict)
    single_process: int | None = 4242
    can_be_captured: bool = True
    captures: int = 0
    requests: list[int] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    now: datetime = NOON

    def __post_init__(self) -> None:
        self.monitor = DeadlockMonitor(
            settings=DeadlockSettings(failures=3, per_day=2),
            query_console=self._query,
            find_single_process=lambda: self.single_process,
            can_capture=lambda _: self.can_be_captured,
            captures_since=lambda _: self.captures,
            request_capture=self.requests.append,
            log=self.logged.append,
        )

    def _query(self, question: str) -> Answer:
        self.asked.append(question)
        return self.answers_to.get(question, self.answer)

    def poll(self, *answers: Answer) -> None:
        for self.answer in answers:
            self.monitor.poll(self.now)
            self.now += timedelta(minutes=1)


def test_several_failures_in_a_row_request_one_capture() -> None:
    asterisk = Asterisk()

    asterisk.poll(ALIVE, SILENT, SILENT)
    assert asterisk.requests == []
    asterisk.poll(SILENT, SILENT, SILENT)

    assert asterisk.requests == [4242]
    assert asterisk.logged == [
        "Asterisk (process 4242) has not responded 3 times in a row to `core show channels count`: requested a capture"
    ]


def test_a_locked_channel_is_noticed_while_the_first_question_is_answered() -> None:
    asterisk = Asterisk(answers_to={"core show channel astbtd": SILENT})

    asterisk.poll(*3 * [ALIVE])

    assert asterisk.requests == [4242]
    assert "3 times in a row to `core show channel astbtd`" in asterisk.logged[0]


def test_after_the_first_unanswered_question_no_other_is_asked() -> None:
    asterisk = Asterisk(answers_to={"core show channel astbtd": SILENT})

    asterisk.poll(ALIVE)

    assert asterisk.asked == ["core show channels count", "core show channel astbtd"]


def test_only_the_first_question_is_asked_if_the_settings_have_no_others() -> None:
    asterisk = Asterisk()
    asterisk.monitor.settings = DeadlockSettings(more_questions=())

    asterisk.poll(ALIVE)

    assert asterisk.asked == ["core show channels count"]


def test_a_queue_that_is_stuck_in_several_checks_requests_one_capture() -> None:
    asterisk = Asterisk(answers_to={"core show taskprocessors": OVERLOADED})

    asterisk.poll(*2 * [ALIVE])
    assert asterisk.requests == []
    asterisk.poll(*9 * [ALIVE])

    assert asterisk.requests == [4242]
    assert asterisk.logged == [
        "Asterisk (process 4242) has not got through the tasks of pjsip/distributor-00000012 in 3 checks in a row: "
        "requested a capture"
    ]


def test_another_capture_is_requested_after_the_queue_was_short_again() -> None:
    asterisk = Asterisk()

    for listing in (OVERLOADED, OVERLOADED, OVERLOADED, ALIVE, OVERLOADED, OVERLOADED, OVERLOADED):
        asterisk.answers_to["core show taskprocessors"] = listing
        asterisk.poll(ALIVE)

    assert asterisk.requests == [4242, 4242]


def test_a_stuck_queue_does_not_count_over_a_check_without_answer() -> None:
    asterisk = Asterisk()

    for answer in (OVERLOADED, OVERLOADED, NOBODY, OVERLOADED, OVERLOADED):
        asterisk.answers_to["core show taskprocessors"] = answer
        asterisk.poll(ALIVE)

    assert asterisk.requests == []


def test_a_stuck_queue_of_a_process_that_is_traced_requests_no_capture() -> None:
    asterisk = Asterisk(can_be_captured=False, answers_to={"core show taskprocessors": OVERLOADED})

    asterisk.poll(*9 * [ALIVE])

    assert asterisk.requests == []


def test_an_answer_resets_the_count_of_failures() -> None:
    asterisk = Asterisk()

    asterisk.poll(SILENT, SILENT, ALIVE, SILENT, SILENT)

    assert asterisk.requests == []


def test_another_capture_is_requested_after_asterisk_responded_again() -> None:
    asterisk = Asterisk()

    asterisk.poll(*3 * [SILENT], ALIVE, *3 * [SILENT])

    assert asterisk.requests == [4242, 4242]


def test_the_number_of_captures_per_day_is_limited() -> None:
    asterisk = Asterisk()

    asterisk.poll(*3 * [*3 * [SILENT], ALIVE])
    assert asterisk.requests == [4242, 4242]
    assert asterisk.logged[-1].endswith("no capture, since there were 2 within a day (deadlock.per_day)")
    asterisk.now += timedelta(days=1)
    asterisk.poll(*3 * [SILENT])

    assert asterisk.requests == [4242, 4242, 4242]


def test_requests_dated_in_the_future_do_not_count_after_the_clock_was_set_back() -> None:
    asterisk = Asterisk(now=NOON + timedelta(days=3650))
    asterisk.poll(*2 * [*3 * [SILENT], ALIVE])

    asterisk.now = NOON
    asterisk.poll(*3 * [SILENT])

    assert asterisk.requests == [4242, 4242, 4242]


def test_captures_requested_by_an_earlier_daemon_count() -> None:
    asterisk = Asterisk(captures=2)

    asterisk.poll(*3 * [SILENT])

    assert asterisk.requests == []


def test_no_capture_of_a_process_that_dumps_core_or_is_traced() -> None:
    asterisk = Asterisk(can_be_captured=False)

    asterisk.poll(*9 * [SILENT])

    assert asterisk.requests == []


def test_a_missing_console_is_not_a_hang() -> None:
    asterisk = Asterisk()

    asterisk.poll(*9 * [NOBODY])

    assert asterisk.requests == []


@pytest.mark.parametrize(("single_process", "before", "pid"), [(7, (), 7), (None, (ALIVE,), 4242)])
def test_without_a_connection_the_process_is_the_only_one_or_the_last_known_one(
    single_process: int | None, before: tuple[Answer, ...], pid: int
) -> None:
    asterisk = Asterisk(single_process=single_process)

    asterisk.poll(*before, *3 * [UNREACHABLE])

    assert asterisk.requests == [pid]


def test_no_capture_if_the_process_is_unknown() -> None:
    asterisk = Asterisk(single_process=None)

    asterisk.poll(*9 * [UNREACHABLE])

    assert asterisk.requests == []


def test_a_thread_polls_until_it_is_stopped_and_logs_a_failure_once() -> None:
    asterisk = Asterisk()
    asterisk.monitor.settings = DeadlockSettings(interval=0.001)
    polls = threading.Semaphore(0)

    def fail(_: str) -> Answer:
        polls.release()
        raise OSError(28, "No space left on device")

    asterisk.monitor.query_console = fail
    thread = DeadlockMonitorThread(asterisk.monitor)
    for _ in range(3):
        assert polls.acquire(timeout=30)

    thread.stop()

    assert asterisk.logged == ["the deadlock monitor failed: [Errno 28] No space left on device"]


def test_no_monitor_is_started_unless_configured(tmp_path: Path) -> None:
    captures = Captures(tmp_path / "store", -1)

    assert deadlock_monitor.start(Settings(), tmp_path / "socket", tmp_path, captures, print) is None


def test_a_hanging_process_is_found_and_a_capture_is_requested_by_a_file(tmp_path: Path) -> None:
    """The console accepts connections, and does not answer: the process that hangs is this one."""
    path = tmp_path / "asterisk.ctl"
    logged = threading.Event()
    hanging = DeadlockSettings(watch=True, interval=0.01, failures=1, limit=0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        captures = Captures(tmp_path / "store", -1)
        monitor = deadlock_monitor.start(Settings(deadlock=hanging), path, tmp_path, captures, lambda _: logged.set())
        assert monitor is not None
        assert logged.wait(30)
        monitor.stop()

    assert (tmp_path / "deadlock-wanted").read_text() == f"{os.getpid()}\n"


def test_captures_of_the_last_day_that_a_monitor_requested_are_counted(tmp_path: Path) -> None:
    captures = Captures(tmp_path / "store", -1)
    (tmp_path / "store").mkdir()
    captures.prepare()
    for minutes, asked_by in ((1, AskedBy.WATCH), (2, AskedBy.COMMAND), (3, AskedBy.WATCH)):
        record = replace(capture(minutes), asked_by=asked_by)
        captures.commit(captures.stage(record.id), record, keep=9)
    first = captures.captured_at(min(captures.ids()))

    assert deadlock_monitor.count_captures(captures, first) == 1
    assert deadlock_monitor.count_captures(captures, first - timedelta(seconds=1)) == 2
    assert deadlock_monitor.count_captures(captures, first - timedelta(days=9)) == 0
