"""What docs/log-shippers.md says about systemd-journal-upload, with the real sender and receiver on loopback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers.container import Container, wait_until
from tests.support.containers.extended_image import cached_monitoring_image
from tests.support.containers.service import Record, Service
from tests.support.containers.stand_in import StandIn

PAGE = Path(__file__).parents[2] / "docs/log-shippers.md"
SENDER = "systemd-journal-upload.service"
RECEIVER = "receiver.service"
RECEIVED = "/var/log/journal/remote"
CRASH_COLLECTED = "308e4492d2224abeb4594329b574afc9"
WAITING = "auto-restart"


def documented_drop_in() -> tuple[str, str]:
    """Return the path and the text of the drop-in that the page names."""
    page = PAGE.read_text()
    (path,) = re.findall(r"`(/etc/systemd/system/systemd-journal-upload\.service\.d/\S+\.conf)`", page)
    (text,) = re.findall(r"^    \[Unit\]\n(?:(?:    .*)?\n)+", page, re.MULTILINE)
    return path, re.sub(r"^    ", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    """A machine that sends its journal to a receiver on itself, which does not run yet."""
    with Container.booted(image=cached_monitoring_image()) as container:
        container.write("/etc/systemd/journal-upload.conf", "[Upload]\nURL=http://127.0.0.1:19532\n")
        yield container


def state(container: Container, unit: str, name: str = "ActiveState") -> str:
    return container.run("systemctl", "show", f"--property={name}", "--value", unit).stdout.strip()


def received(container: Container) -> list[Record]:
    """Return the records in the entries of crashes that have arrived."""
    query = ("journalctl", f"--directory={RECEIVED}", f"MESSAGE_ID={CRASH_COLLECTED}", "--output=json", "--all")
    lines = container.run(*query, check=False).stdout.splitlines()
    return [json.loads(json.loads(line)["ASTBTD_RECORD"]) for line in lines if line.startswith("{")]


def start_receiver(container: Container) -> None:
    container.run("install", "-d", "-o", "systemd-journal-remote", RECEIVED)
    program = ("/lib/systemd/systemd-journal-remote", "--listen-http=19532", f"--output={RECEIVED}/")
    container.run("systemd-run", f"--unit={RECEIVER}", *program)


def test_as_debian_ships_it_the_sender_stays_failed(container: Container) -> None:
    container.run("systemctl", "start", SENDER, check=False)

    wait_until(lambda: state(container, SENDER) == "failed", "systemd gives up")

    assert state(container, SENDER, "NRestarts") == "5"
    assert state(container, SENDER, "RestartUSec") == "100ms"


def test_with_the_drop_in_crashes_of_an_outage_arrive_once_the_receiver_is_back(container: Container) -> None:
    path, text = documented_drop_in()
    container.write(path, text)
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "reset-failed", SENDER)
    container.run("systemctl", "start", SENDER, check=False)
    wait_until(lambda: state(container, SENDER, "SubState") == WAITING, "it waits for the next attempt")
    asterisk, service = StandIn(container), Service(container)
    asterisk.install()
    service.install()
    service.start()
    collected = service.collected(asterisk.crash())

    start_receiver(container)

    wait_until(lambda: bool(received(container)), "the crash arrives", seconds=120)
    (record,) = received(container)
    announced = {key: value for key, value in record.items() if key not in ("core", "announced_at")}
    assert announced.items() <= collected.items()


def test_the_documented_query_finds_the_crash(container: Container) -> None:
    (record,) = received(container)
    (command,) = re.findall(r"^    (journalctl --directory .*?) \|$", PAGE.read_text(), re.MULTILINE)

    (line,) = container.run("sh", "-c", command).stdout.splitlines()

    assert json.loads(json.loads(line)["ASTBTD_RECORD"])["id"] == record["id"]
