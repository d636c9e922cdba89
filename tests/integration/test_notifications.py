"""From a store to the bytes that real servers receive: Postfix, and a webhook through apprise."""

import json
import platform
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.model.crash import Section
from tests.support.harness import scratch_directory
from tests.support.notified_installation import Installation, new_crash, subject
from tests.support.postfix import RECIPIENT, Postfix, running_postfix
from tests.support.redaction_cases import REDACTED
from tests.support.small_disk import fill, mounted_tmpfs
from tests.support.webhook import Webhook, running_webhook

SHORT = 6
"""The number of characters from which a secret is not in a text by chance."""


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    with scratch_directory() as root:
        root.chmod(0o755)
        with running_postfix(root) as running:
            yield running


@pytest.fixture
def installation(scratch: Path, postfix: Postfix) -> Installation:
    return Installation(scratch, postfix.port)


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
def test_an_outage_of_a_week_loses_nothing_and_is_logged_once(
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
    crashes = [new_crash(first + each) for each in range(4)]
    for each in crashes:
        installation.add(each)
        installation.run("--spool")
        logged += installation.deliver(hours=48)

    installation.notify["mail"] = working
    logged += installation.deliver(hours=23)  # a week after the first attempt, less an hour

    assert len(logged) == 2, logged
    assert ["cannot deliver" in logged[0], "delivers again" in logged[1]] == [True, True]
    assert len(postfix.wait_for_mails(*map(subject, crashes))) == 4


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
    secrets = {secret for _, secrets in REDACTED for secret in secrets if not is_said(secret, clean)}
    assert {secret for secret in secrets if is_said(secret, received)} == set()


def is_said(secret: str, text: str) -> bool:
    """Return whether a secret is in a text. A short one, such as a number of three digits, counts as a word only.

    The ids of messages and the lengths of bodies have any digits.
    """
    if len(secret) >= SHORT:
        return secret in text
    without_lengths = re.sub(r"Content-Length: \d+", "", text)
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])", without_lengths) is not None
