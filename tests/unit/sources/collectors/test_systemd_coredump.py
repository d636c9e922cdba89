"""Cores of systemd-coredump: names, attributes, journal entries, and when they are not trusted."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astbtd.model.crash import IdentityFrom
from astbtd.sources.collectors import systemd_coredump
from astbtd.sources.collectors.collector import CollectorMetadata
from astbtd.sources.collectors.systemd_coredump import COLLECTOR, unescape
from tests.support.builders import NOON
from tests.support.collector_samples import (
    BOOT_ID,
    NOON_SECONDS,
    SYSTEMD_ATTRIBUTES,
    SYSTEMD_NAME,
    accepted,
    refusal,
    store_as_systemd_coredump,
)

JOURNAL_ENTRY = {
    "MESSAGE_ID": systemd_coredump.MESSAGE_ID,
    "_SYSTEMD_UNIT": "systemd-coredump@7-4343-0.service",
    "COREDUMP_FILENAME": f"/var/lib/systemd/coredump/{SYSTEMD_NAME}",
    "COREDUMP_CMDLINE": "/usr/sbin/asterisk -g -f",
    "COREDUMP_CWD": "/var/lib/asterisk",
    "COREDUMP_PID": 4242,
}
JOURNAL_METADATA = CollectorMetadata(command_line="/usr/sbin/asterisk -g -f", cwd="/var/lib/asterisk")


@pytest.mark.parametrize("suffix", ["", ".zst", ".xz", ".lz4"])
def test_a_core_has_the_crash_time_of_its_attributes(spool: Path, suffix: str) -> None:
    path = store_as_systemd_coredump(spool, suffix=suffix)

    facts = accepted(COLLECTOR, path, spool)

    assert COLLECTOR.core_files(str(spool), path.name) == [path.name]
    assert facts.crashed_at == NOON
    assert (facts.process.pid, facts.process.container) == (4242, None)
    assert facts.identity_from is (IdentityFrom.FILE if suffix else IdentityFrom.AT_RANDOM)


def test_without_attributes_the_crash_time_is_that_of_the_file(spool: Path) -> None:
    path = store_as_systemd_coredump(spool, attributes={})
    os.utime(path, (0, NOON_SECONDS + 7))

    assert accepted(COLLECTOR, path, spool).crashed_at == datetime.fromtimestamp(NOON_SECONDS + 7, UTC)


def test_another_pid_in_the_initial_namespace_means_a_container(spool: Path) -> None:
    name, attributes = SYSTEMD_NAME.replace("4242", "31337"), {**SYSTEMD_ATTRIBUTES, "pid": "31337"}

    process = accepted(COLLECTOR, store_as_systemd_coredump(spool, name, attributes), spool).process

    assert (process.pid, process.executable, process.container) == (4242, "/usr/sbin/asterisk", True)


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"signal": "6"}, "its metadata names signal 6, but the core has signal 11"),
        ({"signal": "eleven"}, "its attribute user.coredump.signal is not a number"),
        ({"signal": "1" * 3000}, "its attribute user.coredump.signal is not a number"),
        ({"pid": "1"}, "its attribute user.coredump.pid contradicts its name"),
        ({"uid": "0"}, "its attribute user.coredump.uid contradicts its name"),
        ({"comm": "../../etc"}, "its attribute user.coredump.comm contradicts its name"),
        ({"timestamp": "9" * 20}, "its attribute user.coredump.timestamp contradicts its name"),
    ],
)
def test_a_forged_attribute_is_refused(spool: Path, forged: dict[str, str], reason: str) -> None:
    path = store_as_systemd_coredump(spool, attributes={**SYSTEMD_ATTRIBUTES, **forged})

    assert refusal(COLLECTOR, path, spool) == reason


@pytest.mark.parametrize("timestamp", ["99999999999999999999", "32503680000000000"])
def test_an_impossible_time_is_refused_even_if_name_and_attribute_agree(spool: Path, timestamp: str) -> None:
    name = SYSTEMD_NAME.replace(f"{NOON_SECONDS}000000", timestamp)
    path = store_as_systemd_coredump(spool, name, {**SYSTEMD_ATTRIBUTES, "timestamp": timestamp})

    assert refusal(COLLECTOR, path, spool).endswith(("is not a valid time", "the core is older"))


@pytest.mark.parametrize(
    "name",
    [f".#{SYSTEMD_NAME}0a1b2c3d", "core", "notes.txt", f"{SYSTEMD_NAME}.gz", f"core.a.b.1.{BOOT_ID}.2.3", "a/core"],
)
def test_files_with_other_names_are_ignored(spool: Path, name: str) -> None:
    assert COLLECTOR.core_files(str(spool), name) == []


def test_names_are_unescaped() -> None:
    assert unescape(r"my\x2ecommand\x20\x5cx") == rb"my.command \x"


def test_an_escaped_command_name_matches_its_attribute(spool: Path) -> None:
    name = SYSTEMD_NAME.replace("asterisk", r"a\x2f\x2e\x2e\x20b")
    attributes = {**SYSTEMD_ATTRIBUTES, "comm": "a/.. b"}

    assert accepted(COLLECTOR, store_as_systemd_coredump(spool, name, attributes), spool)


@pytest.mark.parametrize(
    "unit", ["systemd-coredump@7-4343-0.service", "systemd-coredump@12.service", "systemd-coredumpd.service"]
)
def test_the_journal_entry_adds_command_line_and_working_directory(unit: str) -> None:
    entry = {**JOURNAL_ENTRY, "_SYSTEMD_UNIT": unit}

    assert COLLECTOR.parse_journal_entry(entry, SYSTEMD_NAME) == JOURNAL_METADATA


def test_an_entry_that_journald_read_after_its_sender_had_ended_is_trusted_by_its_user() -> None:
    entry = {name: value for name, value in JOURNAL_ENTRY.items() if name != "_SYSTEMD_UNIT"}

    assert COLLECTOR.parse_journal_entry({**entry, "_UID": 0}, SYSTEMD_NAME) == JOURNAL_METADATA


def test_the_journal_entry_is_matched_by_pid_and_timestamp() -> None:
    assert COLLECTOR.journal_match(SYSTEMD_NAME) == {
        "MESSAGE_ID": systemd_coredump.MESSAGE_ID,
        "COREDUMP_PID": "4242",
        "COREDUMP_TIMESTAMP": f"{NOON_SECONDS}000000",
    }


def test_a_file_with_another_name_has_no_journal_entry() -> None:
    assert COLLECTOR.journal_match("core") is None


@pytest.mark.parametrize(
    "forged",
    [
        {"_SYSTEMD_UNIT": "user@1000.service"},
        {"_SYSTEMD_UNIT": "evil-systemd-coredump@1.service"},
        {"_SYSTEMD_UNIT": "systemd-coredump@/../x.service"},
        {"_SYSTEMD_UNIT": None},
        {"_SYSTEMD_UNIT": None, "_UID": 1000},
        {"_SYSTEMD_UNIT": "user@0.service", "_UID": 0},
        {"COREDUMP_FILENAME": "/etc/shadow"},
        {"COREDUMP_FILENAME": None},
    ],
)
def test_a_journal_entry_of_another_origin_is_ignored(forged: dict[str, object]) -> None:
    assert COLLECTOR.parse_journal_entry({**JOURNAL_ENTRY, **forged}, SYSTEMD_NAME) is None


@pytest.mark.parametrize("value", ["two\nlines", "\x1b[2J", "x" * 100_000, ""])
def test_an_invalid_field_of_the_journal_entry_is_omitted(value: str) -> None:
    metadata = COLLECTOR.parse_journal_entry({**JOURNAL_ENTRY, "COREDUMP_CMDLINE": value}, SYSTEMD_NAME)

    assert metadata == CollectorMetadata(command_line=None, cwd="/var/lib/asterisk")


def test_the_journal_entry_reports_a_container() -> None:
    entry = {**JOURNAL_ENTRY, "COREDUMP_CONTAINER_CMDLINE": "systemd-nspawn"}

    metadata = COLLECTOR.parse_journal_entry(entry, SYSTEMD_NAME)

    assert metadata is not None
    assert metadata.contained
