"""The unit of the metrics on Debian 12, and its file as the real node exporter serves it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.containers.container import wait_until
from tests.support.containers.extended_image import cached_monitoring_image
from tests.support.containers.service import HIGHEST_EXPOSURES, STORE, UNIT
from tests.support.containers.stand_in_machine import StandInMachine, booted

METRICS, TIMER, EXPORTER = "astbtd-metrics.service", "astbtd-metrics.timer", "prometheus-node-exporter.service"
DIRECTORY = "/var/lib/prometheus/node-exporter"
SERVED = "http://127.0.0.1:9100/metrics"

# What the unit can reach: run with its sandbox, in the place of its program. It can write where it prints "write".
PROBE = f"""#!/bin/sh
ls {STORE}/crashes/*/crash.json >/dev/null && echo read store
cat /run/astbtd/state.json >/dev/null && echo read state
ls /etc/asterisk 2>/dev/null && echo read asterisk
for directory in {STORE} {STORE}/crashes {STORE}/incoming /run /run/astbtd /etc /var/cache/astbtd /root {DIRECTORY}; do
    (: >$directory/probe) 2>/dev/null && rm $directory/probe && echo write $directory
done
(: >/tmp/probe) 2>/dev/null && test -e /proc/1/root/tmp/probe && echo write tmp
curl --silent --show-error --max-time 5 {SERVED} >/dev/null 2>&1 && echo network
grep -E '^(CapEff|NoNewPrivs):' /proc/self/status
id --user
"""


@dataclass(frozen=True)
class Monitored(StandInMachine):
    """A machine with the node exporter."""

    def served(self) -> dict[str, float]:
        """Return what the node exporter serves of astbtd."""
        text = self.container.run("curl", "--silent", "--fail", SERVED).stdout
        lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("astbtd_")]
        return {name: float(value) for name, _, value in lines}

    def write_metrics(self) -> None:
        """Run the unit once."""
        self.container.run("systemctl", "start", METRICS)


@pytest.fixture(scope="module")
def machine() -> Iterator[Monitored]:
    with booted(Monitored, image=cached_monitoring_image()) as machine:
        container = machine.container
        machine.service.start()
        container.run("systemctl", "start", EXPORTER)
        wait_until(lambda: not container.run("curl", "--silent", SERVED, check=False).returncode, "it listens")
        yield machine


def test_the_timer_is_off_until_somebody_enables_it(machine: Monitored) -> None:
    assert machine.container.run("systemctl", "is-enabled", TIMER, check=False).stdout == "disabled\n"
    assert machine.served() == {}

    machine.container.run("systemctl", "enable", "--now", TIMER)

    wait_until(lambda: machine.served().get("astbtd_up") == 1, "the file is written")
    assert machine.served()["astbtd_signatures"] == 0
    assert "astbtd_last_crash_timestamp_seconds" not in machine.served()


def test_a_crash_is_served(machine: Monitored) -> None:
    collected = machine.service.collected(machine.asterisk.crash())

    machine.write_metrics()

    served = machine.served()
    verdict = collected["diagnosis"]["verdict"]
    assert served[f'astbtd_crashes{{signal="SIGSEGV",verdict="{verdict}"}}'] == 1
    assert served["astbtd_signatures"] == 1
    assert served["astbtd_last_crash_timestamp_seconds"] > 0
    assert served['astbtd_store_bytes{part="cores"}'] > 0
    assert served["astbtd_next_crash_usable"] in (0, 1)
    written = machine.container.run("stat", "--format=%a %U", f"{DIRECTORY}/astbtd.prom").stdout
    assert written == "644 root\n"


def test_that_the_daemon_does_not_run_is_served(machine: Monitored) -> None:
    machine.container.run("systemctl", "stop", UNIT)
    machine.write_metrics()
    stopped = machine.served()
    machine.container.run("systemctl", "start", UNIT)
    machine.write_metrics()

    assert stopped["astbtd_up"] == 0
    assert "astbtd_queued_cores" not in stopped
    assert machine.served()["astbtd_up"] == 1


def test_the_unit_has_no_network_and_can_write_to_one_directory_only(machine: Monitored) -> None:
    machine.container.write("/usr/local/bin/probe", PROBE, mode=0o755)
    drop_in = f"/run/systemd/system/{METRICS}.d/probe.conf"
    machine.container.write(drop_in, "[Service]\nExecStart=\nExecStart=/usr/local/bin/probe\n")
    machine.container.run("systemctl", "daemon-reload")

    machine.write_metrics()

    machine.container.run("journalctl", "--sync")
    found = ("journalctl", f"--unit={METRICS}", "--identifier=probe", "--output=cat")
    lines = machine.container.run(*found).stdout.splitlines()
    machine.container.run("rm", drop_in)
    machine.container.run("systemctl", "daemon-reload")
    *reached, capabilities, privileges, user = lines
    assert reached == ["read store", "read state", f"write {DIRECTORY}"]
    assert (capabilities.split(), privileges.split()) == (["CapEff:", "0000000000000000"], ["NoNewPrivs:", "1"])
    assert user == "0"


def test_the_units_sandbox_is_tight(machine: Monitored) -> None:
    assert machine.service.exposure(METRICS) <= HIGHEST_EXPOSURES[METRICS]
    for unit in (METRICS, TIMER):
        verified = machine.container.run("systemd-analyze", "verify", "--man=no", unit)
        assert verified.stdout + verified.stderr == ""


def test_a_missing_directory_is_logged_once_with_a_hint_and_so_is_its_return(machine: Monitored) -> None:
    machine.container.run("systemctl", "stop", TIMER)
    machine.container.run("mv", DIRECTORY, f"{DIRECTORY}.away")

    for _ in range(3):
        machine.write_metrics()

    machine.container.run("mv", f"{DIRECTORY}.away", DIRECTORY)
    for _ in range(2):
        machine.write_metrics()
    machine.container.run("journalctl", "--sync")
    logged = machine.container.run("journalctl", f"--unit={METRICS}", "--output=cat").stdout
    assert logged.count("hint: install prometheus-node-exporter") == 1
    assert logged.count("works again") == 1
    assert "Failed to start" not in logged
