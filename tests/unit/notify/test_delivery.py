"""Delivery: at least once, in order, with a mark after each answer, logged once, resumed after any failure."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.notify.delivery import Delivery
from astbtd.notify.payload import Audience, Notification
from astbtd.notify.sink_state import SinkStates
from astbtd.notify.sinks.base import Outcome, Refused, Retry
from astbtd.notify.spool import Spool
from tests.support.builders import NOON
from tests.support.notifications import FakeClock, crash_notification, message_notification

WEEK = timedelta(days=7)


@dataclass
class FakeSink:
    """A server that answers with `problem`, if there is one, after it has accepted `limit` notifications of a call."""

    name: str = "tracker"
    audience: Audience = Audience.TRACKER
    batch: int = 3
    problem: Retry | Refused | Exception | None = None
    limit: int = 0
    received: list[str] = field(default_factory=list)
    calls: int = 0
    remark: str = ""

    def deliver(self, notifications: Sequence[Notification]) -> Outcome:
        self.calls += 1
        if isinstance(self.problem, Exception):
            raise self.problem
        accepted = min(self.limit, len(notifications)) if self.problem else len(notifications)
        self.received += [each.id for each in notifications[:accepted]]
        return Outcome(accepted, self.problem, "ok", self.remark)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Scene:
    """A spool, a clock, what was logged, and which of it as an error."""

    delivery: Delivery
    clock: FakeClock
    logged: list[str]
    errors: list[str]
    generation: int = 0

    def add(self, *notifications: Notification) -> list[str]:
        self.generation += 1
        self.delivery.spool.commit(self.generation, notifications, lambda: None)
        return [each.id for each in notifications]

    def run(self, *sinks: FakeSink) -> None:
        self.delivery.run(sinks)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    spool = Spool(tmp_path / "spool")
    spool.prepare(0)
    (tmp_path / "sinks").mkdir()
    clock = FakeClock()
    logged: list[str] = []
    errors: list[str] = []

    def log(line: str, priority: Priority) -> None:
        logged.append(line)
        if priority is Priority.ERROR:
            errors.append(line)

    return Scene(Delivery(spool, SinkStates(tmp_path / "sinks"), clock, lambda: 0.0, log), clock, logged, errors)


def crashes(count: int) -> list[Notification]:
    return [crash_notification(number) for number in range(1, count + 1)]


def test_everything_is_delivered_in_order_and_once(scene: Scene) -> None:
    sink = FakeSink()
    ids = scene.add(*crashes(5)) + scene.add(*crashes(2))

    scene.run(sink)
    scene.run(sink)

    assert sink.received == ids
    assert sink.calls == 3
    assert scene.logged == []


def test_each_sink_gets_what_is_for_its_audience(scene: Scene) -> None:
    tracker, mail = FakeSink(), FakeSink("mail", Audience.PEOPLE, 1)
    crash, message, last = crash_notification(), message_notification(), crash_notification(2)
    scene.add(crash, message, last)

    scene.run(tracker, mail)

    assert (tracker.received, mail.received) == ([crash.id, last.id], [message.id])
    newest = scene.delivery.spool.names()[-1]
    assert scene.delivery.states.lowest_mark(["tracker", "mail"]) == newest


def test_a_failing_sink_does_not_hinder_another(scene: Scene) -> None:
    failing, working = FakeSink("a", problem=Retry("refused")), FakeSink("b")
    ids = scene.add(*crashes(4))

    scene.run(failing, working)

    assert working.received == ids
    assert failing.received == []


def test_a_sink_whose_mark_is_damaged_gets_nothing_and_does_not_hinder_another(scene: Scene) -> None:
    damaged, working = FakeSink("a"), FakeSink("b")
    ids = scene.add(*crashes(2))
    (scene.delivery.states.directory / "a.json").write_text("{")

    with pytest.raises(AstbtdError, match=r"cannot read the state of a sink: .*a\.json"):
        scene.run(damaged, working)

    assert (damaged.received, working.received) == ([], ids)


@pytest.mark.parametrize("problem", [Retry("refused"), AstbtdError("no password"), RuntimeError("a fault of ours")])
def test_a_failure_is_logged_once_and_so_is_the_recovery(scene: Scene, problem: Retry | Exception) -> None:
    sink = FakeSink(problem=problem)
    ids = scene.add(*crashes(3))
    for _ in range(5):
        scene.run(sink)
        scene.clock.sleep(300)
    assert len(scene.logged) == 1
    assert "tracker: cannot deliver: " in scene.logged[0]

    sink.problem = None
    scene.clock.sleep(7200)
    scene.run(sink)

    assert sink.received == ids
    assert len(scene.logged) == 2
    assert "delivers again, after " in scene.logged[1]


def test_the_first_attempts_follow_within_one_run(scene: Scene) -> None:
    sink = FakeSink(problem=Retry("refused"))
    scene.add(*crashes(1))

    scene.run(sink)

    assert sink.calls == 4, "at once, and after 1, 2 and 4 minutes"
    assert scene.clock.time == NOON + timedelta(minutes=7)


def test_what_was_accepted_before_a_failure_is_not_sent_again(scene: Scene) -> None:
    sink = FakeSink(problem=Retry("busy"), limit=2, batch=10)
    ids = scene.add(*crashes(5))
    scene.run(sink)
    sink.problem = None
    scene.clock.sleep(600)
    scene.run(sink)

    assert sink.received == ids


def test_a_pause_that_the_server_asks_for_is_kept(scene: Scene) -> None:
    sink = FakeSink(problem=Retry("429", after=1800))
    ids = scene.add(*crashes(1))
    scene.run(sink)
    sink.problem = None

    scene.clock.sleep(1200)
    scene.run(sink)
    assert sink.received == []
    scene.clock.sleep(600)
    scene.run(sink)
    assert sink.received == ids


def test_what_the_server_refuses_is_logged_counted_and_left_out(scene: Scene) -> None:
    sink = FakeSink(problem=Refused("too large"), limit=1, batch=2)
    ids = scene.add(*crashes(4))

    scene.run(sink)

    assert sink.received == [ids[0], ids[2]]
    assert [line.rpartition(": ")[2] for line in scene.logged] == ["too large"] * 2
    state = scene.delivery.states.read("tracker")
    assert (state.delivered, state.refused, state.mark) == (2, 2, scene.delivery.spool.names()[-1])


def test_an_outage_of_a_week_loses_nothing_and_is_logged_once(scene: Scene) -> None:
    sink = FakeSink(problem=Retry("no route"), batch=100)
    ids = []
    number = 0
    while scene.clock.time < NOON + WEEK - timedelta(hours=1):
        number += 1
        ids += scene.add(crash_notification(number))
        scene.run(sink)
        scene.clock.sleep(3600)
    sink.problem = None
    scene.clock.sleep(6 * 3600)
    scene.run(sink)

    assert len(ids) > 100
    assert sink.received == ids
    assert len(scene.logged) == 2


def test_after_a_week_the_sink_is_given_up_once_and_resumed_when_there_is_something_new(scene: Scene) -> None:
    sink = FakeSink(problem=Retry("no route"), batch=100)
    ids = scene.add(*crashes(3))
    while scene.clock.time < NOON + 2 * WEEK:
        scene.run(sink)
        scene.clock.sleep(300)
    calls = sink.calls
    assert [("gave up after a week" in line) for line in scene.logged] == [False, True]
    assert scene.errors == scene.logged[1:]

    scene.run(sink)
    assert sink.calls == calls, "it is not tried any more"
    sink.problem = None
    ids += scene.add(crash_notification(4))
    scene.run(sink)

    assert sink.received == ids
    assert len(scene.logged) == 3


@pytest.mark.parametrize("at", range(1, 9))
def test_a_kill_at_any_write_of_the_mark_loses_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    sink = FakeSink(batch=2)
    ids = scene.add(*crashes(9))
    writes = 0
    original = SinkStates.write

    def write(*arguments: object) -> None:
        nonlocal writes
        writes += 1
        if writes == at:
            raise Killed
        original(*arguments)  # type: ignore[arg-type] # passed on as they are

    with monkeypatch.context() as patched:
        patched.setattr(SinkStates, "write", write)
        try:
            scene.run(sink)
        except Killed:
            scene.clock.sleep(60)
    scene.run(sink)

    assert list(dict.fromkeys(sink.received)) == ids
    assert len(sink.received) <= len(ids) + 2, "at most one batch is repeated"
    assert scene.logged == []


def test_without_a_durable_mark_nothing_is_sent(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise AstbtdError("the disk is full")

    sink = FakeSink()
    scene.add(*crashes(2))
    monkeypatch.setattr(SinkStates, "write", full)

    with pytest.raises(AstbtdError, match="the disk is full"):
        scene.run(sink)
    assert sink.received == []


def test_a_damaged_notification_does_not_stop_the_others(scene: Scene) -> None:
    sink = FakeSink()
    ids = scene.add(*crashes(3))
    second = scene.delivery.spool.names()[1]
    (scene.delivery.spool.root / "waiting" / second).write_text("{")

    scene.run(sink)

    assert sink.received == [ids[0], ids[2]]
    assert len(scene.logged) == 1


@pytest.mark.parametrize("audience", Audience)
def test_a_damaged_notification_is_logged_once_although_the_server_is_away(scene: Scene, audience: Audience) -> None:
    sink = FakeSink(audience=audience, problem=Retry("no route"))
    scene.add(crash_notification(1), message_notification(1), crash_notification(2), message_notification(2))
    damaged = scene.delivery.spool.names()[0]
    (scene.delivery.spool.root / "waiting" / damaged).write_text("{")
    for _ in range(3):
        scene.run(sink)
        scene.clock.sleep(3600)
    assert [line for line in scene.logged if "left out" in line] == []

    sink.problem = None
    scene.run(sink)
    scene.run(sink)

    assert len([line for line in scene.logged if "left out" in line]) == 1


def test_a_notification_that_cannot_be_read_now_is_not_left_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = FakeSink()
    ids = scene.add(*crashes(2))

    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(files, "open_regular", fail)
        with pytest.raises(AstbtdError, match="Too many open files"):
            scene.run(sink)
    assert sink.received == []

    scene.run(sink)

    assert sink.received == ids


def test_whatever_a_server_says_its_state_can_be_read(scene: Scene) -> None:
    sink = FakeSink(problem=Retry("\u20ac" * 1_000_000), remark="x" * 1_000_000)
    scene.add(crash_notification())
    for _ in range(2):
        scene.run(sink)
        scene.clock.sleep(3600)

    state = scene.delivery.states.read("tracker")

    assert state.is_failing
    assert len(scene.logged) == 2


def test_many_messages_for_people_become_one_after_an_outage(scene: Scene) -> None:
    mail = FakeSink("mail", Audience.PEOPLE, 1, problem=Retry("refused"))
    ids = scene.add(*(message_notification(number) for number in range(1, 8)))
    scene.run(mail)
    mail.problem = None
    scene.clock.sleep(3600)

    scene.run(mail)

    assert len(mail.received) == 1
    assert mail.received[0] not in ids
    assert scene.delivery.states.read("mail").mark == scene.delivery.spool.names()[-1]


def test_a_remark_of_a_sink_is_logged_once(scene: Scene) -> None:
    mail = FakeSink("mail", Audience.PEOPLE, 1, remark="bob: 550 unknown user")
    scene.add(message_notification(1), message_notification(2))

    scene.run(mail)

    assert scene.logged == ["mail: bob: 550 unknown user"]


def test_only_one_process_delivers(scene: Scene) -> None:
    states = scene.delivery.states

    with states.lock(), pytest.raises(AstbtdError, match="already"), replace(states).lock():
        pass
