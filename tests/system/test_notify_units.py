"""The units of the notifications in Debian 12: a crash is mailed and sent to a webhook, and who can read what."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import smtp_server, webhook
from tests.support.containers.container import wait_until
from tests.support.containers.extended_image import cached_chat_image
from tests.support.containers.service import STORE
from tests.support.containers.stand_in_machine import StandInMachine, booted

SPOOL, DELIVERY = "astbtd-notify-spool.service", "astbtd-notify.service"
UNITS = (SPOOL, DELIVERY, "astbtd-notify.path", "astbtd-notify.timer")
EXPOSURE = {SPOOL: 1.2, DELIVERY: 1.6}
"""Lower than that of the daemon. The second one has network access."""

SECRET = "s3cr3tpassw0rd"  # noqa: S105 # of the mail server below
SINKS = "notify: {mail: {to: [root], server: 127.0.0.1, port: 2525}, chat: [ops]}\n"
SECRETS = f"mail: {{password: {SECRET}}}\nchat: {{ops: 'json://127.0.0.1:8080/hook'}}\n"
SERVERS = """
import sys, threading
sys.path.insert(0, "/srv")
from smtp_server import misbehaving_smtp_server
from webhook import running_webhook

class Appended(list):
    def __init__(self, path):
        self.path = path

    def append(self, received):
        with open(self.path, "ab") as file:
            file.write(received)

with misbehaving_smtp_server(port=2525) as server, running_webhook(8080) as webhook:
    server.mails, webhook.bodies = Appended("/srv/mails"), Appended("/srv/bodies")
    threading.Event().wait()
"""
# What the units can read and write: run with their sandboxes, in the place of their programs.
PROBE = f"""#!/bin/sh
try() {{ # NAME COMMAND...
    name=$1; shift
    "$@" >/dev/null 2>&1 && echo "$name"
}}
try texts sh -c 'cat {STORE}/crashes/*/report.txt'
try cores sh -c 'cat {STORE}/crashes/*/core.zst'
try incoming ls {STORE}/incoming
try store ls {STORE}
try asterisk ls /etc/asterisk
try secrets-file cat /etc/astbtd.secrets
try secrets grep {SECRET} "$CREDENTIALS_DIRECTORY/secrets"
try spool ls /var/lib/astbtd-notify-spool/waiting
try state cat /var/lib/astbtd-notify-spool/state.json
try writes-spool mkdir /var/lib/astbtd-notify-spool/waiting/probe
try writes-marks mkdir /var/lib/astbtd-notify/probe
try network python3 -c 'import socket; socket.create_connection(("127.0.0.1", 2525))'
try tmp sh -c ': >/tmp/probe; test -e /proc/1/root/tmp/probe'
rmdir /var/lib/astbtd-notify-spool/waiting/probe /var/lib/astbtd-notify/probe 2>/dev/null
sed -n 's/^CapEff:[[:space:]]*/caps=/p; s/^NoNewPrivs:[[:space:]]*/nnp=/p' /proc/self/status
id --user
"""


@dataclass(frozen=True)
class Machine(StandInMachine):
    """A machine with a mail server and a webhook."""

    def mails(self) -> str:
        """Return what the mail server has received."""
        return self.container.run("cat", "/srv/mails", check=False).stdout

    def wait_for_mail(self, text: str) -> None:
        """Wait until a mail with this text has come."""
        wait_until(lambda: text in self.mails().replace("=\n", ""), f"a mail with {text}")

    def bodies(self) -> str:
        """Return what the webhook has received."""
        return self.container.run("cat", "/srv/bodies", check=False).stdout

    def probe(self, unit: str) -> list[str]:
        """Run the probe in the place of a unit's program; return what it can do."""
        drop_in = f"/run/systemd/system/{unit}.d/probe.conf"
        program = "StandardOutput=journal\nLogLevelMax=debug\nExecStart=\nExecStart=/usr/local/bin/probe\n"
        replaced = f"[Unit]\nOnSuccess=\n[Service]\n{program}"
        self.container.write("/usr/local/bin/probe", PROBE, mode=0o755)
        self.container.write(drop_in, replaced)
        self.container.run("systemctl", "daemon-reload")
        self.container.run("systemctl", "start", unit)
        self.container.run("journalctl", "--sync")
        found = ("journalctl", f"--unit={unit}", "--identifier=probe", "--output=cat")
        output = self.container.run(*found).stdout.split()
        self.container.run("rm", drop_in)
        self.container.run("systemctl", "daemon-reload")
        return output


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with booted(Machine, image=cached_chat_image()) as machine:
        container = machine.container
        container.copy_in(Path(smtp_server.__file__), "/srv/smtp_server.py")
        container.copy_in(Path(webhook.__file__), "/srv/webhook.py")
        container.write("/srv/servers.py", SERVERS)
        container.run("systemd-run", "--unit=servers", "python3", "/srv/servers.py")
        machine.service.configure(SINKS)
        container.write("/etc/astbtd.secrets", SECRETS, mode=0o600)
        machine.service.start()
        container.run("systemctl", "start", SPOOL)
        container.run("systemctl", "enable", "--now", *UNITS[2:])
        yield machine


def test_a_crash_is_mailed_by_the_units_alone(machine: Machine) -> None:
    crashed = machine.crash()

    machine.wait_for_mail("Asterisk crashed: fault in do_forward (new)")
    machine.wait_for_mail(f"crash {crashed['id']}")
    wait_until(lambda: "do_forward" in machine.bodies(), "the webhook has got it")
    assert SECRET not in machine.mails()
    for unit in (SPOOL, DELIVERY):
        assert machine.container.run("systemctl", "is-failed", unit, check=False).stdout.strip() != "failed"


def test_a_crash_is_sent_to_a_webhook_through_debians_apprise(machine: Machine) -> None:
    assert "Asterisk crashed: fault in do_forward (new)" in machine.bodies()
    assert "Good enough to file? yes" in machine.bodies()
    accepted = machine.container.run("astbtd", "notify", "--test", "chat-ops").stdout

    assert accepted.startswith("chat-ops: accepted: Sent JSON")
    assert "Test of astbtd" in machine.bodies()
    assert machine.container.run("dpkg-query", "--show", "apprise").stdout.split()[1].startswith("1.2.0")


def test_the_networked_unit_sees_the_spool_and_neither_the_store_nor_the_secrets_file(machine: Machine) -> None:
    *abilities, user = machine.probe(DELIVERY)

    assert abilities == ["secrets", "spool", "writes-marks", "network", "caps=0000000000000000", "nnp=1"]
    assert int(user) >= 61184, "a user that exists only while the unit runs"


def test_the_unit_that_reads_the_store_reads_texts_only_and_has_no_network(machine: Machine) -> None:
    *abilities, user = machine.probe(SPOOL)

    expected = ["texts", "store", "spool", "state", "writes-spool", "caps=0000000000000000", "nnp=1"]
    assert abilities == expected
    assert int(user) >= 61184, "a user that exists only while the unit runs"


def test_the_two_units_are_different_users(machine: Machine) -> None:
    assert machine.probe(DELIVERY)[-1] != machine.probe(SPOOL)[-1]


def test_the_test_message_is_sent_by_the_command(machine: Machine) -> None:
    assert machine.container.run("astbtd", "notify", "--test", "mail").stdout == "mail: accepted: 250 queued as 42\n"
    machine.wait_for_mail("Test of astbtd")
    assert "mail: " in machine.container.run("astbtd", "notify").stdout


@pytest.mark.parametrize("unit", [SPOOL, DELIVERY])
def test_the_units_sandboxes_are_tight(machine: Machine, unit: str) -> None:
    rating = machine.container.run("systemd-analyze", "security", "--no-pager", unit).stdout

    assert float(re.findall(r"[0-9.]+", rating.splitlines()[-1])[-1]) <= EXPOSURE[unit]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_the_units(machine: Machine, unit: str) -> None:
    verified = machine.container.run("systemd-analyze", "verify", "--man=no", unit)

    assert verified.stdout + verified.stderr == ""


def test_a_full_disk_is_logged_once_and_everything_is_delivered_then(machine: Machine) -> None:
    run = machine.container.run
    begin = run("date", "+%F %T").stdout.strip()
    spool = "/var/lib/private/astbtd-notify-spool"
    run("systemctl", "stop", *UNITS[2:])
    for unit in (SPOOL, DELIVERY, SPOOL):  # nothing is left to be removed, which would make room
        run("systemctl", "start", unit)
    run("cp", "--archive", spool, "/run/copy")
    run("mount", "-t", "tmpfs", "-o", "size=256k", "small", spool)
    run("cp", "--archive", "/run/copy/.", spool)
    run("sh", "-c", f"head --bytes=1M /dev/zero >{spool}/ballast || true")
    crashed = machine.crash()

    for _ in range(3):
        run("systemctl", "start", SPOOL)
    shown = run("astbtd", "notify").stdout
    run("rm", f"{spool}/ballast")
    for _ in range(2):
        run("systemctl", "start", SPOOL)

    run("journalctl", "--sync")
    of_unit = ("journalctl", f"--unit={SPOOL}", f"--since={begin}", "--output=cat")
    logged = run(*of_unit).stdout.splitlines()
    errors = run(*of_unit, "--priority=err").stdout.splitlines()
    waiting = "".join(run("sh", "-c", f"cat {spool}/state.json").stdout)
    run("umount", "--lazy", spool)
    run("systemctl", "start", *UNITS[2:])
    assert [line for line in logged if "No space left on device" in line] == logged[:1]
    assert "hint: free some disk space" in logged[1]
    assert "works again" in logged[2]
    assert len(logged) == 3
    assert errors == logged[:2]
    assert "No space left on device" in shown
    assert crashed["id"] in waiting


def test_a_check_that_fails_is_mailed(machine: Machine) -> None:
    run = machine.container.run
    machine.container.write("/run/systemd/system/asterisk.service.d/limit.conf", "[Service]\nLimitCORE=0\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "asterisk.service")
    machine.service.reload()
    published = ("grep", "--quiet", "core-limit", "/run/astbtd/state.json")
    wait_until(lambda: not run(*published, check=False).returncode, "the daemon knows of the check")

    run("systemctl", "start", SPOOL)

    machine.wait_for_mail("The next crash will not give a usable backtrace: core-limit")
