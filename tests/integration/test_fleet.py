"""Two hundred hosts send their crashes to one error tracker, while senders and tracker are killed: nothing is lost, and
nothing is counted twice."""

import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.notify.payload import Notification, NotificationKind, notification_id
from astbtd.notify.sink_state import SinkStates
from tests.support.bugsink import BUGSINK_IS_MISSING, Bugsink, bugsink, issue_key
from tests.support.fleet_sender import TIMEOUT, fill_host
from tests.support.notifications import crash_facts

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(BUGSINK_IS_MISSING, reason="Bugsink is not installed: make trackers"),
]

HOSTS = 200
CRASHES = int(os.environ.get("ASTBTD_EVENTS", "20000"))
SIGNATURES = 50
VERSIONS = ("20.5.0", "22.9.0", "22.10.0")
SENDERS = 4
SEED = 20261129
"""The kills are those of this seed, after so many hosts; the moment within a host is the machine's choice."""
HOSTS_BETWEEN_KILLS = 6


@contextmanager
def memory_directory() -> Iterator[Path]:
    """Create a directory on a file system in memory: processes are killed, not the machine."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def host_name(host: int) -> str:
    return f"pbx{host:03d}"


def crashes_of(host: int) -> list[Notification]:
    """Return the crashes of a host."""
    machine = f"{host:032x}"
    made = []
    for number in range(host, CRASHES, HOSTS):
        facts = crash_facts(number, signature=f"{number * 7 % SIGNATURES:012x}")
        facts = replace(facts, version=VERSIONS[host % len(VERSIONS)])
        event_id = notification_id(machine, "crash", facts.id)
        made.append(
            Notification(event_id, NotificationKind.CRASH, facts.crashed_at, host_name(host), machine, crash=facts)
        )
    return made


class Senders:
    """The processes that send. Each has its share of the hosts, and begins with all of them after it was killed."""

    def __init__(self, dsn: str, hosts: Sequence[Path]) -> None:
        self._dsn = dsn
        self._shares = [hosts[number::SENDERS] for number in range(SENDERS)]
        self._lines: queue.Queue[str] = queue.Queue()
        self._processes = [self._start(share) for share in self._shares]
        self._done: set[str] = set()

    def kill(self, number: int) -> None:
        """Kill a sender and start it again."""
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start(self._shares[number])

    def wait_for_hosts(self, count: int) -> int:
        """Wait until `count` hosts more are done, or all. Return how many are not."""
        wanted = min(len(self._done) + count, HOSTS)
        while len(self._done) < wanted:
            self._done.add(self._lines.get(timeout=TIMEOUT))
        return HOSTS - len(self._done)

    def stop(self) -> None:
        """Kill all senders."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, share: Sequence[Path]) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.support.fleet_sender", self._dsn, *map(str, share)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line.strip())


@contextmanager
def running_senders(dsn: str, hosts: Sequence[Path]) -> Iterator[Senders]:
    senders = Senders(dsn, hosts)
    try:
        yield senders
    finally:
        senders.stop()


def send_while_killing(tracker: Bugsink, senders: Senders) -> Counter[str]:
    """Kill senders and the tracker in turn until all hosts are done. Return how often."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable
    kills: Counter[str] = Counter()
    while senders.wait_for_hosts(HOSTS_BETWEEN_KILLS):
        if chance.random() < 1 / 3:
            tracker.kill()
            tracker.start()
            kills["tracker"] += 1
        else:
            senders.kill(chance.randrange(SENDERS))
            kills["sender"] += 1
    return kills


def test_every_crash_of_a_fleet_is_counted_once_although_senders_and_tracker_are_killed() -> None:
    sent = {host: crashes_of(host) for host in range(HOSTS)}
    with memory_directory() as directory, bugsink(directory / "bugsink") as tracker:
        hosts = [directory / host_name(host) for host in sent]
        for path, notifications in zip(hosts, sent.values(), strict=True):
            fill_host(path, notifications)

        with running_senders(tracker.dsn, hosts) as senders:
            kills = send_while_killing(tracker, senders)

        print(f"{CRASHES} crashes sent, {kills['sender']} senders and {kills['tracker']} trackers killed")  # noqa: T201
        states = [SinkStates(path / "state").read("sentry") for path in hosts]
        assert (sum(state.delivered for state in states), sum(state.refused for state in states)) == (CRASHES, 0)
        all_sent = [each for notifications in sent.values() for each in notifications]
        assert Counter(tracker.event_ids()) == Counter(each.id for each in all_sent)
        assert tracker.counts() == Counter(key_of(each) for each in all_sent)
        assert tracker.releases() == {f"asterisk@{version}" for version in VERSIONS}
        assert tracker.tag_values("server_name") == {host_name(host): len(each) for host, each in sent.items()}
        assert kills["sender"] > 0
        assert kills["tracker"] > 0


def key_of(notification: Notification) -> str:
    assert notification.crash is not None
    assert notification.crash.signature is not None
    return issue_key(("astbtd", "signature", notification.crash.signature.id))
