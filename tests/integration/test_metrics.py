"""The metrics of a real store and a running daemon, and the example rules, as Prometheus' own tool judges them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from astbtd.cli.commands import metrics
from astbtd.cli.main import main
from tests.support.harness import RunningDaemon, crash

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs/examples/prometheus-rules.yml"


@dataclass(frozen=True)
class Exported:
    """The directory of the node exporter, and the configuration that names it."""

    running: RunningDaemon
    directory: Path

    def text(self) -> str:
        """Run `astbtd metrics` and return the file."""
        assert main(["--config", str(self.running.configuration), "metrics"]) == 0
        return (self.directory / "astbtd.prom").read_text()

    def samples(self) -> dict[str, float]:
        """Return the samples of the file by name and values of the labels."""
        families = text_string_to_metric_families(self.text())
        samples = [sample for family in families for sample in family.samples]
        return {" ".join((sample.name, *sample.labels.values())): sample.value for sample in samples}


@pytest.fixture
def exported(running: RunningDaemon, scratch: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Exported:
    directory, unit_directory = scratch / "node-exporter", scratch / "run"
    directory.mkdir()
    unit_directory.mkdir()
    running.configure({"watch": {"directories": [str(spool)]}, "metrics": {"textfile": str(directory)}})
    running.environment["RUNTIME_DIRECTORY"] = str(unit_directory)
    monkeypatch.setattr(metrics, "UNIT_DIRECTORY", str(unit_directory))
    return Exported(running, directory)


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """Run Prometheus' tool, which must accept its input, and return what it prints."""
    done = subprocess.run(("promtool", *arguments), input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_crashes_of_a_running_daemon_are_exported(
    exported: Exported, running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    for number, signal in enumerate(("segv", "segv", "abort"), 1):
        crash(programs, spool, signal)
        (newest, *_) = running.wait_for_crashes(number)

    samples = exported.samples()

    assert samples["astbtd_up"] == 1
    assert sum(samples[key] for key in samples if key.startswith("astbtd_crashes SIGSEGV")) == 2
    assert sum(samples[key] for key in samples if key.startswith("astbtd_crashes SIGABRT")) == 1
    assert samples["astbtd_signatures"] == 2
    assert samples["astbtd_last_crash_timestamp_seconds"] == pytest.approx(newest.crashed_at.timestamp())
    assert samples["astbtd_store_bytes texts"] > 0
    assert samples["astbtd_queued_cores"] == 0
    assert promtool("check", "metrics", stdin=exported.text()) == ""


def test_after_the_daemon_has_ended_its_store_is_still_exported(
    exported: Exported, running: RunningDaemon, programs: Path, spool: Path, scratch: Path
) -> None:
    running.start()
    crash(programs, spool, "segv")
    running.wait_for_crashes(1)
    running.stop()
    (scratch / "run/state.json").unlink()  # systemd removes the directory

    samples = exported.samples()

    assert samples["astbtd_up"] == 0
    assert "astbtd_queued_cores" not in samples
    assert sum(samples[key] for key in samples if key.startswith("astbtd_crashes ")) == 1


def test_no_label_depends_on_what_crashed(
    exported: Exported, running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    crash(programs, spool, "segv")
    (record,) = running.wait_for_crashes(1)

    text = exported.text()

    assert record.signature
    for secret in (record.id, record.signature.id, record.diagnosis.crash_function, str(spool), record.host):
        assert str(secret) not in text


def test_the_example_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)


FINE = {
    "astbtd_up": "1x600",
    "astbtd_last_crash_timestamp_seconds": "-100000x600",
    "astbtd_crash_loops": "0x600",
    "astbtd_signatures": "3x600",
    "astbtd_next_crash_usable": "1x600",
    "astbtd_lost_cores": "2x600",
    "astbtd_queued_cores": "0x30 5 0x570",
    "astbtd_failed_deliveries": "4x600",
    "astbtd_damaged_records": "0x600",
    'node_textfile_mtime_seconds{file="/var/lib/prometheus/node-exporter/astbtd.prom"}': "0+60x600",
}
"""Series of a machine with old crashes, in steps of a minute."""

BAD = {
    "AsteriskCrashed": ("astbtd_last_crash_timestamp_seconds", "35900x600"),
    "AsteriskCrashLoop": ("astbtd_crash_loops", "0x500 1x100"),
    "AsteriskNewSignature": ("astbtd_signatures", "3x580 4x20"),
    "AsteriskNextCrashNotUsable": ("astbtd_next_crash_usable", "1x500 0x100"),
    "AsteriskCoreLost": ("astbtd_lost_cores", "2x580 3x20"),
    "AstbtdDown": ("astbtd_up", "1x500 0x100"),
    "AstbtdQueueStuck": ("astbtd_queued_cores", "0x500 1x100"),
    "AstbtdDeliveryFailed": ("astbtd_failed_deliveries", "4x580 5x20"),
    "AstbtdStoreDamaged": ("astbtd_damaged_records", "0x500 1x100"),
    "AstbtdMetricsOld": (
        'node_textfile_mtime_seconds{file="/var/lib/prometheus/node-exporter/astbtd.prom"}',
        "0+60x500 30000x100",
    ),
}
"""For each alert, the one series that is different, and that fires it and no other at minute 600."""


def rule_names() -> list[str]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["alert"] for rule in group["rules"]]


def test_each_rule_has_a_case() -> None:
    assert rule_names() == list(BAD)


@pytest.mark.parametrize("alert", [None, *BAD])
def test_an_alert_fires_for_its_reason_only(alert: str | None, tmp_path: Path) -> None:
    changed = dict([BAD[alert]]) if alert else {}
    series = [{"series": name, "values": values} for name, values in {**FINE, **changed}.items()]
    evaluated = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "600m",
        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else [],
    }
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [evaluated]}
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))

    promtool("test", "rules", tmp_path / "tests.yml")
