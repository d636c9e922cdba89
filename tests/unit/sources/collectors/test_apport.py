"""Cores of apport: reports and plain cores, and when their fields are not trusted."""

from pathlib import Path

import pytest

from astbtd.sources.collectors.apport import COLLECTOR
from tests.support.builders import NOON, DeadProcess
from tests.support.collector_samples import accepted, refusal, store_as_apport
from tests.support.packed import FIELDS


def test_the_metadata_of_a_report_is_in_its_fields(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    path = store_as_apport(spool)

    facts = accepted(COLLECTOR, path, spool)

    assert COLLECTOR.core_files(str(spool), path.name) == [path.name]
    assert facts.crashed_at == NOON
    assert facts.process.command_line == FIELDS["ProcCmdline"]
    assert facts.process.cwd == "/var/lib/asterisk"


def test_a_plain_core_is_accepted(spool: Path) -> None:
    path = spool / "core._usr_local_sbin_asterisk.0.13c1c8f2-8a32-4b0c-9d6e-0a1b2c3d4e5f.4242.1234567"
    path.write_bytes(DeadProcess().core())

    assert COLLECTOR.core_files(str(spool), path.name) == [path.name]
    assert accepted(COLLECTOR, path, spool).process.pid == 4242


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("Signal", "6", "its metadata names signal 6, but the core has signal 11"),
        ("Signal", "9" * 400, "its field Signal is not a number"),
        ("Signal", "-11", "its field Signal is not a number"),
        ("Date", "yesterday", "its field Date is not a valid time"),
        ("Date", "Sun Nov 22 12:00:00 2999", "its metadata dates the crash 2999"),
        ("ProcCmdline", "asterisk\nSignal: 6", "its field ProcCmdline is not a line of text"),
        ("ProcCmdline", "\x1b]0;title\x07", "its field ProcCmdline is not a line of text"),
        ("ProcCmdline", "x" * 100_000, "its field ProcCmdline is not a line of text"),
        ("ProcCmdline", "\udcff\udcfe", "its field ProcCmdline is not a line of text"),
        ("ProcCwd", "../../etc", "its field ProcCwd is not an absolute path"),
        ("Padding", "x" * (17 << 20), "its fields are longer than 16 MiB"),
    ],
)
def test_a_report_with_a_hostile_field_is_refused(spool: Path, field: str, value: str, reason: str) -> None:
    assert reason in refusal(COLLECTOR, store_as_apport(spool, **{field: value}), spool)
