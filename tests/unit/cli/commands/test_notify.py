"""`astbtd notify`: a test of each sink, what would be sent and why, the states, and the steps of the units."""

import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from astbtd.cli.common import format_local_time
from astbtd.notify import unit_steps
from astbtd.notify.sink_state import SinkState, SinkStates
from tests.support.builders import NOON, crash
from tests.support.cli_types import Keep, Run
from tests.support.smtp_server import SmtpServer, misbehaving_smtp_server
from tests.support.tracker_stub import TrackerStub, tracker_stub

KEY = "c0ffee" * 5


@pytest.fixture(autouse=True)
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The units' directories below /run are empty, and no daemon of this machine counts."""
    monkeypatch.setattr(unit_steps, "_RUNTIME_DIRECTORIES", tmp_path / "run")
    (tmp_path / "run" / "notify-spool").mkdir(parents=True)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "secrets").write_text("{}")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))


@pytest.fixture
def mail_server() -> Iterator[SmtpServer]:
    with misbehaving_smtp_server() as server:
        yield server


@pytest.fixture
def tracker() -> Iterator[TrackerStub]:
    with tracker_stub() as stub:
        yield stub


def configure(configuration: Path, **sinks: object) -> None:
    """Configure these sinks, in directories of the test."""
    notify = {"directory": str(configuration.parent / "notify"), **sinks}
    store = {"store": str(configuration.parent / "store")}
    configuration.write_text(yaml.safe_dump({**store, "notify": notify}))


def mail_to(port: int) -> dict[str, object]:
    return {"to": ["root"], "server": "127.0.0.1", "port": port}


@pytest.fixture
def mailing(configuration: Path, mail_server: SmtpServer) -> SinkStates:
    """Mails are configured. Return the states of the sinks."""
    configure(configuration, mail=mail_to(mail_server.port))
    return SinkStates(configuration.parent / "notify")


def write_secrets(configuration: Path, text: str) -> None:
    (configuration.parent / "credentials" / "secrets").write_text(text)


@pytest.mark.parametrize("option", [(), ("--test",), ("--dry-run",)])
def test_without_a_sink_nothing_matches_and_the_hint_says_how_to_name_one(astbtd: Run, option: tuple[str, ...]) -> None:
    code, out, error = astbtd("notify", *option)

    assert (code, out) == (3, "")
    assert error.startswith("astbtd: no notifications are configured\n  hint: name one in /etc/astbtd.yaml: ")


@pytest.mark.usefixtures("mailing")
def test_a_sink_that_is_not_configured_is_an_error_that_names_the_others(astbtd: Run) -> None:
    assert astbtd("notify", "--test", "chat\x1b[31m") == (
        3,
        "",
        "astbtd: there is no sink chat\\x1b[31m\n  hint: one of: mail\n",
    )


def test_two_actions_at_once_are_wrong_usage(astbtd: Run) -> None:
    code, _, error = astbtd("notify", "--test", "--dry-run")

    assert code == 2
    assert "not allowed with" in error


def test_a_test_sends_a_marked_message_and_prints_the_answer(
    astbtd: Run, mailing: SinkStates, mail_server: SmtpServer
) -> None:
    assert astbtd("notify", "--test") == (0, "mail: accepted: 250 queued as 42\n", "")

    (mail,) = mail_server.mails
    assert f"Subject: [{platform.node()}] Test of astbtd".encode() in mail
    assert not mailing.directory.exists(), "a test is not counted as a delivery"


def test_a_test_of_one_sink_leaves_the_others_alone(
    astbtd: Run, configuration: Path, mail_server: SmtpServer, tracker: TrackerStub
) -> None:
    configure(configuration, mail=mail_to(mail_server.port), sentry={"enabled": True})
    write_secrets(configuration, yaml.safe_dump({"sentry": {"dsn": tracker.dsn}}))

    code, out, _ = astbtd("notify", "--test", "sentry")

    assert code == 0
    assert out.startswith("sentry: accepted: localhost: 200, id ")
    assert [received.event["tags"] for received in tracker.received] == [{"report": "test"}]
    assert mail_server.mails == []


def test_a_sink_without_its_secret_does_not_keep_the_others_from_being_tested(
    astbtd: Run, configuration: Path, mail_server: SmtpServer, tracker: TrackerStub
) -> None:
    mail = {**mail_to(mail_server.port), "user": "pbx7"}
    configure(configuration, mail=mail, sentry={"enabled": True})
    write_secrets(configuration, yaml.safe_dump({"sentry": {"dsn": tracker.dsn}}))

    code, out, error = astbtd("notify", "--test")

    assert code == 1
    assert error.startswith("astbtd: mail: ")
    assert "hint: " in error
    assert out.startswith("sentry: accepted: localhost: 200, id ")


@pytest.mark.usefixtures("mailing")
def test_a_refused_test_fails_and_prints_the_answer(astbtd: Run, mail_server: SmtpServer) -> None:
    mail_server.answers = {"MAIL": "550 not from here"}

    code, out, error = astbtd("notify", "--test", "mail")

    assert (code, error) == (1, "")
    assert out.startswith("mail: failed: ")
    assert "not from here" in out


def test_a_successful_test_has_what_waits_delivered_at_once(astbtd: Run, mailing: SinkStates) -> None:
    mailing.directory.mkdir()
    later = datetime(2100, 1, 1, tzinfo=UTC)
    mailing.write("mail", SinkState(failing_since=later, reason="no route", next_attempt=later, given_up="0001"))

    astbtd("notify", "--test")

    state = mailing.read("mail")
    assert (state.next_attempt, state.given_up) == (None, None)


def test_credentials_that_cannot_be_read_are_an_error_that_does_not_show_them(
    astbtd: Run, configuration: Path, mailing: SinkStates
) -> None:
    write_secrets(configuration, f"sentry: [{KEY}")

    code, out, error = astbtd("notify", "--test")

    assert (code, out) == (1, "")
    assert error.startswith("astbtd: mail: the secrets ")
    assert "are not valid YAML\n  hint: see astbtd.yaml(5), section SECRETS\n" in error
    assert KEY not in error
    assert not mailing.directory.exists()


@pytest.mark.usefixtures("mailing")
def test_a_dry_run_says_what_would_be_sent_and_why_and_writes_nothing(
    astbtd: Run, keep: Keep, tmp_path: Path, mail_server: SmtpServer
) -> None:
    astbtd("notify", "--spool")
    keep(replace(crash(), foreign=False))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    code, out, error = astbtd("notify", "--dry-run")

    assert (code, error) == (0, "")
    assert out.startswith("mail: 0 waiting, 1 new\n")
    assert (
        "Asterisk crashed: fault in ast_bridge_join (new)\n    why: a new signature\n    | Asterisk crashed: SIG" in out
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert mail_server.mails == []


def test_a_dry_run_for_a_tracker_names_the_crashes(
    astbtd: Run, configuration: Path, keep: Keep, tracker: TrackerStub
) -> None:
    configure(configuration, sentry={"enabled": True})
    keep(replace(crash(), crashed_at=datetime.now(UTC)))

    assert astbtd("notify", "--dry-run").out == (
        f"sentry: 0 waiting, 1 new\n  crash {crash().id}\n    why: every crash is sent\n"
        "in the message about earlier crashes: 1 crashes\n"
    )
    assert tracker.received == []


def test_the_steps_deliver_and_the_state_of_the_sink_is_printed(
    astbtd: Run, mailing: SinkStates, keep: Keep, mail_server: SmtpServer
) -> None:
    astbtd("notify", "--spool")
    keep(crash())
    assert astbtd("notify", "--spool") == (0, "", "")
    assert astbtd("notify").out == "mail: 0 delivered, 0 refused, 1 waiting\n"

    assert astbtd("notify", "--deliver") == (0, "", "")

    assert len(mail_server.mails) == 1
    assert astbtd("notify").out == "mail: 1 delivered, 0 refused, 0 waiting\n"
    assert mailing.read("mail").delivered == 1


def test_a_sink_that_fails_and_one_that_was_given_up_are_printed_with_the_reason(
    astbtd: Run, mailing: SinkStates
) -> None:
    mailing.directory.mkdir()
    since, then = NOON, NOON + timedelta(hours=1)
    failing = SinkState(failing_since=since, reason="no route")
    mailing.write("mail", replace(failing, next_attempt=then))
    lines = f"\n  failing since {format_local_time(since)}: no route\n  next attempt: {format_local_time(then)}\n"
    assert lines in astbtd("notify").out

    mailing.write("mail", replace(failing, given_up="0001"))

    assert "\n  given up after a week; it is tried again when there is something new" in astbtd("notify").out


@pytest.mark.usefixtures("mailing")
def test_a_damaged_state_is_an_error_that_a_unit_logs_once_and_the_command_shows(
    astbtd: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: Keep
) -> None:
    astbtd("notify", "--spool")
    keep(crash())
    state = tmp_path / "notify-spool" / "state.json"
    content = state.read_bytes()
    state.write_bytes(content[:10])
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run" / "notify-spool"))

    answers = [astbtd("notify", "--spool") for _ in range(3)]
    shown = astbtd("notify").out
    state.write_bytes(content)
    recovered = [astbtd("notify", "--spool") for _ in range(2)]

    assert [answer.code for answer in answers] == [1, 1, 1]
    assert "cannot read the state of the notifications" in answers[0].err
    assert f"hint: if the disk is healthy, remove {state}" in answers[0].err
    assert [answer.err for answer in answers[1:]] == ["", ""]
    assert shown.startswith("failing since ")
    assert "cannot read the state of the notifications" in shown
    assert [answer.code for answer in recovered] == [0, 0]
    assert "reading the store for notifications works again, after " in recovered[0].err
    assert recovered[1].err == ""
    assert astbtd("notify").out == "mail: 0 delivered, 0 refused, 1 waiting\n"
