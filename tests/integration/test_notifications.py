"""From a store to the bytes that real servers receive: Postfix, and a webhook through apprise."""

import itertools
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from astbtd import settings
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash, Section
from astbtd.notify.secrets import Secrets, load_secrets
from astbtd.notify.sinks.configured import configured_sinks
from astbtd.notify.spool import Spool
from astbtd.notify.unit_steps import UnitSteps
from astbtd.settings import Settings
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.faults import Fault, FaultInjector, at_every_change
from tests.support.harness import scratch_directory
from tests.support.notifications import FakeClock
from tests.support.postfix import RECIPIENT, Postfix, running_postfix
from tests.support.redaction_cases import REDACTED
from tests.support.small_disk import fill, mounted_tmpfs
from tests.support.smtp_server import misbehaving_smtp_server
from tests.support.stores import process
from tests.support.webhook import Webhook, running_webhook

KILLED = -signal.SIGKILL


class Installation:
    """A store, the directories of the two units, a configuration, and the command."""

    def __init__(self, root: Path, postfix_port: int) -> None:
        self.root = root
        self.store = Store(root / "store")
        self.store.prepare()
        self.notify: dict[str, object] = {"directory": str(root / "notify")}
        self.mail: dict[str, object] = {"to": [RECIPIENT], "server": "127.0.0.1", "port": postfix_port}
        self.notify["mail"] = self.mail
        self.secrets = ""
        self.clock = FakeClock(datetime.now(UTC))

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return settings.parse(yaml.safe_dump({"store": str(self.store.root), "notify": self.notify}).encode(), "test")

    @property
    def spool(self) -> Spool:
        """The spool."""
        return UnitSteps(self.settings).spool

    def mark(self) -> str:
        """Return the newest entry that all sinks are done with."""
        return UnitSteps(self.settings).lowest_mark()

    def use_directory(self, directory: Path) -> None:
        """Use other directories for the two units."""
        self.notify["directory"] = str(directory)

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `astbtd notify` as the units do: the secrets are a credential."""
        configuration = self.root / "astbtd.yaml"
        configuration.write_text(yaml.safe_dump({"store": str(self.store.root), "notify": self.notify}))
        (self.root / "secrets").write_text(self.secrets)
        command = [sys.executable, "-m", "astbtd", "--config", str(configuration), "notify", *arguments]
        variables = {**os.environ, "CREDENTIALS_DIRECTORY": str(self.root), **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=check)

    def run_as_unit(self, step: str) -> str:
        """Run a step as its unit does, which has a directory in memory; return what is logged."""
        directory = self.root / "run"
        directory.mkdir(exist_ok=True)
        return self.run(step, check=False, RUNTIME_DIRECTORY=str(directory)).stderr

    def run_killed(self, programs: Path, fault: Fault) -> bool:
        """Run both steps, one of which is killed at a change. Return False if there is no such change."""
        log = self.root / "changes"
        faults = FaultInjector(programs, [self.root / "notify", self.root / "notify-spool"], log)
        if self.run("--spool", check=False, **faults.environment(fault)).returncode == KILLED:
            return True
        left = replace(fault, at=fault.at - len(faults.calls()))
        log.unlink()
        return self.run("--deliver", check=False, **faults.environment(left)).returncode == KILLED

    def deliver(self, hours: float = 0) -> list[str]:
        """Deliver as the unit does, with a clock that is this much later; return what was logged."""
        (self.root / "secrets").write_text(self.secrets)
        self.clock.sleep(hours * 3600)
        logged: list[str] = []
        steps = UnitSteps(self.settings)
        delivery = replace(steps.delivery(logged.append), clock=self.clock)
        try:
            secrets: Secrets | AstbtdError = load_secrets({"CREDENTIALS_DIRECTORY": str(self.root)})
        except AstbtdError as error:
            secrets = error
        with steps.states.lock():
            delivery.run(configured_sinks(self.settings.notify, secrets))
        return logged

    def sent_by(self, postfix: Postfix, webhook: Webhook) -> str:
        """Deliver all that is new, in whatever number of messages; return all that was received, decoded as well."""
        self.run("--spool")
        self.deliver(hours=2)
        queue_id = self.run("--test", "mail").stdout.split()[-1]  # the mails before it were delivered before it
        postfix.wait_for(f"{queue_id}: removed")
        decoded = [str(mail.get_content()) for mail in postfix.mails()]
        return "".join(map(str, (postfix.received(), *webhook.received, *decoded)))

    def begin(self) -> None:
        """Make the first pass, for which everything is old."""
        self.run("--spool")

    def add(self, *crashes: Crash) -> None:
        """Record crashes."""
        for each in crashes:
            process(self.store, each)


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    with scratch_directory() as root:
        root.chmod(0o755)
        with running_postfix(root) as running:
            yield running


@pytest.fixture
def installation(scratch: Path, postfix: Postfix) -> Installation:
    return Installation(scratch, postfix.port)


def new_crash(number: int) -> Crash:
    """Return a crash with a signature of its own."""
    one = crash(number * 30, pid=number, signature=f"{number:012x}", function=f"function_{number}")
    return replace(one, host="pbx7")


def subject(one: Crash) -> str:
    """Return the end of the subject of the mail about a crash."""
    return f"Asterisk crashed: fault in {one.diagnosis.crash_function} (new)"


def test_a_crash_is_mailed_with_the_first_screen_of_its_report(installation: Installation, postfix: Postfix) -> None:
    installation.begin()
    installation.add(new_crash(1))

    installation.run("--spool")
    installation.run("--deliver")
    installation.run("--deliver")

    (mail,) = postfix.wait_for_mails(subject(new_crash(1)))
    assert mail["Subject"] == f"[{platform.node()}] Asterisk crashed: fault in function_1 (new)"
    body = mail.get_content()
    assert body.startswith("Asterisk crashed: SIGSEGV (Segmentation fault, address 0x10) in function_1")
    assert "Good enough to file? yes" in body
    assert installation.spool.names()
    installation.run("--spool")
    assert installation.spool.names() == [], "what every sink has got is removed"


def test_the_test_message_is_marked_and_the_answer_is_printed(installation: Installation, postfix: Postfix) -> None:
    printed = installation.run("--test", "mail").stdout

    assert printed.startswith("mail: accepted: 250 2.0.0 Ok: queued as ")
    (mail,) = postfix.wait_for_mails("Test of astbtd")
    assert "Nothing has crashed." in mail.get_content()


def test_a_test_of_a_server_that_is_not_there_fails_and_says_why(installation: Installation) -> None:
    installation.notify["mail"] = {"to": [RECIPIENT], "server": "127.0.0.1", "port": 1}

    result = installation.run("--test", check=False)

    assert (result.returncode, result.stdout) == (1, "mail: failed: 127.0.0.1:1: Connection refused\n")


def test_a_dry_run_shows_what_and_why_and_changes_nothing(installation: Installation) -> None:
    installation.begin()
    installation.add(new_crash(2))
    before = {path: path.read_bytes() for path in installation.root.rglob("*.json")}

    printed = installation.run("--dry-run").stdout

    assert "mail: 0 waiting, 1 new" in printed
    assert "Asterisk crashed: fault in function_2 (new)\n    why: a new signature\n" in printed
    assert "    | Asterisk crashed: SIGSEGV" in printed
    assert {path: path.read_bytes() for path in installation.root.rglob("*.json")} == before


def test_without_a_sink_nothing_is_written(installation: Installation) -> None:
    del installation.notify["mail"]

    assert "no notifications are configured" in installation.run("--spool").stdout
    assert not installation.spool.root.exists()
    assert installation.run("--test", check=False).returncode == 3


def test_a_chat_gets_the_same_through_apprise(installation: Installation) -> None:
    with running_webhook() as webhook:
        use_chat(installation, webhook)
        installation.begin()
        installation.add(new_crash(3))

        installation.run("--spool")
        installation.run("--deliver")

        (received,) = (json.loads(body) for body in webhook.bodies)
        assert received["title"].endswith("Asterisk crashed: fault in function_3 (new)")
        assert "Good enough to file? yes" in received["message"]
        assert "chat-ops: accepted" in installation.run("--test", "chat-ops").stdout


def use_chat(installation: Installation, webhook: Webhook) -> None:
    del installation.notify["mail"]
    installation.notify["chat"] = ["ops"]
    installation.secrets = f"chat: {{ops: 'json://user:s3cr3tt0ken@127.0.0.1:{webhook.port}/hook'}}"


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_what_a_chat_does_not_accept_is_kept_and_its_address_is_not_logged(
    installation: Installation, status: int
) -> None:
    with running_webhook() as webhook:
        use_chat(installation, webhook)
        webhook.status = status
        printed = installation.run("--test", check=False)
        assert printed.returncode == 1
        assert "chat-ops: failed: " in printed.stdout
        assert "s3cr3tt0ken" not in printed.stdout + printed.stderr


@pytest.mark.parametrize("secrets", ["", "mail: {}", "chat: {other: 'json://x'}"])
def test_a_chat_without_an_address_says_where_it_belongs(installation: Installation, secrets: str) -> None:
    installation.notify["chat"] = ["ops"]
    installation.secrets = secrets

    result = installation.run("--test", "chat-ops", check=False)

    assert result.returncode == 1
    assert "there is no address for chat-ops" in result.stderr
    assert "/etc/astbtd.secrets" in result.stderr


def test_unreadable_secrets_lose_nothing_and_are_logged_once(installation: Installation, postfix: Postfix) -> None:
    installation.begin()
    installation.add(new_crash(4))
    installation.run("--spool")
    installation.secrets = "mail: [hunter2"

    logged = [line for _ in range(3) for line in installation.deliver(hours=1)]

    assert len(logged) == 1
    assert "not valid YAML" in logged[0]
    assert "hunter2" not in logged[0]
    installation.secrets = ""
    assert "delivers again" in installation.deliver(hours=1)[0]
    assert len(postfix.wait_for_mails(subject(new_crash(4)))) == 1


@pytest.mark.parametrize("problem", ["port", "name", "certificate"])
def test_an_outage_of_days_loses_nothing_and_is_logged_once(
    installation: Installation, postfix: Postfix, problem: str
) -> None:
    first = {"port": 10, "name": 20, "certificate": 30}[problem]
    broken: dict[str, dict[str, object]] = {
        "port": {"port": 1},
        "name": {"server": "mail.invalid"},
        "certificate": {"encryption": "starttls"},
    }
    working = dict(installation.mail)
    installation.mail.update(broken[problem])
    installation.begin()
    logged = []
    crashes = [new_crash(first + each) for each in range(3)]
    for each in crashes:
        installation.add(each)
        installation.run("--spool")
        logged += installation.deliver(hours=24)

    installation.notify["mail"] = working
    logged += installation.deliver(hours=7)

    assert len(logged) == 2, logged
    assert ["cannot deliver" in logged[0], "delivers again" in logged[1]] == [True, True]
    assert len(postfix.wait_for_mails(*map(subject, crashes))) == 3


def test_a_full_disk_loses_nothing_and_is_logged_once(
    installation: Installation, scratch: Path, postfix: Postfix
) -> None:
    small = scratch / "small"
    small.mkdir()
    with mounted_tmpfs(small, "size=1m"):
        installation.use_directory(small / "notify")
        installation.begin()
        installation.add(new_crash(5))
        ballast = fill(small)

        failed = [installation.run_as_unit("--spool") for _ in range(3)]
        ballast.unlink()
        resumed = [installation.run_as_unit("--spool") for _ in range(2)]
        ballast = fill(small)
        failed_to_deliver = [installation.run_as_unit("--deliver") for _ in range(3)]
        ballast.unlink()
        delivered = [installation.run_as_unit("--deliver") for _ in range(2)]

    assert len(postfix.wait_for_mails(subject(new_crash(5)))) == 1
    for full, over, what in (
        (failed, resumed, "reading the store for notifications"),
        (failed_to_deliver, delivered, "delivering notifications"),
    ):
        assert "No space left on device\n  hint: free some disk space" in full[0]
        assert full[1:] == ["", ""]
        assert f"{what} works again, after" in over[0]
        assert over[1:] == [""]


def test_a_store_that_cannot_be_read_loses_nothing_and_is_logged_once(
    installation: Installation, postfix: Postfix
) -> None:
    installation.begin()
    installation.add(new_crash(9))
    crashes = installation.store.root / "crashes"
    crashes.rename(crashes.with_name("away"))
    crashes.symlink_to(crashes)

    said = [installation.run_as_unit("--spool") for _ in range(3)]

    assert "cannot read the store" in said[0]
    assert said[1:] == ["", ""]
    crashes.unlink()
    crashes.with_name("away").rename(crashes)
    assert "works again" in installation.run_as_unit("--spool")
    installation.deliver()
    assert len(postfix.wait_for_mails(subject(new_crash(9)))) == 1


def test_a_kill_at_any_change_of_a_file_loses_nothing_and_repeats_at_most_one_mail(
    programs: Path, scratch: Path
) -> None:
    """The spool step and the delivery are killed in place of each change, and after half of some writes."""
    number = itertools.count()

    def attempt(at: int, *, torn: bool = False) -> bool:
        root = scratch / f"attempt-{next(number)}"
        root.mkdir()
        with misbehaving_smtp_server() as server:
            installation = Installation(root, server.port)
            installation.begin()
            installation.add(new_crash(6), new_crash(7))
            was_killed = installation.run_killed(programs, Fault(at, torn=torn))
            installation.run("--spool")
            logged = installation.deliver(hours=1)
            mails = [mail for mail in server.mails if b"fault in function" in mail]
        assert logged == []
        ids = Counter(re.findall(rb"Message-ID: (\S+)", b"".join(mails)))
        assert len(ids) == 2, (at, ids)
        assert sum(ids.values()) <= 3, (at, ids)
        assert all(name <= installation.mark() for name in installation.spool.names())
        return was_killed

    def attempts(at: int) -> bool:
        if at % 5 == 0:  # among them a write of the state, and of each mark
            attempt(at, torn=True)
        return attempt(at)

    assert at_every_change(attempts, step=7) > 4


def test_no_secret_of_the_memory_is_in_the_bytes_that_any_server_receives(
    installation: Installation, postfix: Postfix
) -> None:
    """The crashed process holds all secrets of the redaction table: in arguments, variables, names, and messages."""
    with running_webhook() as webhook:
        installation.notify["chat"] = ["ops"]
        installation.secrets = f"chat: {{ops: 'json://127.0.0.1:{webhook.port}/'}}"
        installation.begin()
        installation.add(new_crash(8))
        clean = installation.sent_by(postfix, webhook)
        for number, (text, _) in enumerate(REDACTED, 100):
            one = new_crash(number)
            hostile = replace(one.diagnosis, headline=text, reasons=(text,), advice=(text,))
            installation.add(replace(one, diagnosis=hostile))
            lines = f"#0  0x01 in f (a={text}) at a.c:1\n        {text}\n        b = {text}\n"
            (installation.store.directory(one.id) / Section.THREAD1).write_text(lines)
        received = installation.sent_by(postfix, webhook)

    assert "function_100" in received
    leaked = [secret for _, secrets in REDACTED for secret in secrets if secret in received and secret not in clean]
    assert leaked == []
