"""The last upgrade of Asterisk before a crash, from the logs of dpkg and dnf."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astbtd.extraction.package_history import PackageLog, last_upgrade, parse_dnf, parse_dpkg
from astbtd.model.surroundings import Upgrade

CRASH = datetime(2026, 11, 29, 3, 12, tzinfo=UTC)
DPKG = """\
2026-11-20 09:59:58 startup archives unpack
2026-11-20 10:00:00 upgrade libc6:amd64 2.36-9+deb12u8 2.36-9+deb12u9
2026-11-20 10:00:01 upgrade asterisk-config:all 1:22.5.1-1 1:22.6.0-1
2026-11-20 10:00:02 status half-configured asterisk:amd64 1:22.5.1-1
2026-11-20 10:00:03 upgrade asterisk:amd64 1:22.5.1-1 1:22.6.0-1
2026-11-20 10:00:04 install asterisk-dbgsym:amd64 <none> 1:22.6.0-1
"""


@pytest.fixture(autouse=True)
def _eastern_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    time.tzset()


def dpkg_log(path: Path, text: str = DPKG) -> PackageLog:
    path.write_text(text)
    return PackageLog(path, parse_dpkg)


def test_the_upgrade_of_the_programs_package_is_found_in_local_time(tmp_path: Path) -> None:
    upgrade = last_upgrade("asterisk", CRASH, [dpkg_log(tmp_path / "dpkg.log")])

    assert upgrade == Upgrade("asterisk", "1:22.5.1-1", "1:22.6.0-1", datetime(2026, 11, 20, 15, 0, 3, tzinfo=UTC))


def test_a_package_of_another_name_is_found_if_it_owns_the_program(tmp_path: Path) -> None:
    log = dpkg_log(tmp_path / "dpkg.log", "2026-11-20 10:00:00 install pbx22:amd64 <none> 22.1\n")

    assert last_upgrade("pbx22", CRASH, [log]) == Upgrade("pbx22", None, "22.1", datetime(2026, 11, 20, 15, tzinfo=UTC))
    assert last_upgrade(None, CRASH, [log]) is None


def test_an_upgrade_after_the_crash_does_not_count(tmp_path: Path) -> None:
    later = DPKG + "2026-11-29 09:00:00 upgrade asterisk:amd64 1:22.6.0-1 1:22.7.0-1\n"

    upgrade = last_upgrade("asterisk", CRASH, [dpkg_log(tmp_path / "dpkg.log", later)])

    assert upgrade is not None
    assert upgrade.after == "1:22.6.0-1"


def test_a_reinstallation_is_no_upgrade() -> None:
    assert list(parse_dpkg(["2026-11-20 10:00:00 upgrade asterisk:amd64 1:22.6.0-1 1:22.6.0-1"])) == []


def test_the_rotated_log_is_read_as_well(tmp_path: Path) -> None:
    log = dpkg_log(tmp_path / "dpkg.log", "")
    (tmp_path / "dpkg.log.1").write_text(DPKG)

    assert last_upgrade("asterisk", CRASH, [log]) is not None


def test_dnf_names_the_new_and_the_old_version() -> None:
    lines = [
        "2026-11-20T10:00:00+0000 SUBDEBUG Upgrade: asterisk-22.6.0-1.el9.x86_64",
        "2026-11-20T10:00:01+0000 SUBDEBUG Upgrade: asterisk-sounds-core-1.6-2.el9.noarch",
        "2026-11-20T10:00:02+0000 SUBDEBUG Upgraded: asterisk-22.5.1-1.el9.x86_64",
    ]

    first, _ = parse_dnf(lines)

    assert first == Upgrade(
        "asterisk", "22.5.1-1.el9.x86_64", "22.6.0-1.el9.x86_64", datetime(2026, 11, 20, 10, tzinfo=UTC)
    )


@pytest.mark.parametrize("text", ["", "\0\xff" * 99, "2026-99-99 99:99:99 upgrade asterisk:amd64 1 2\n"])
def test_a_damaged_log_has_no_upgrade(tmp_path: Path, text: str) -> None:
    assert last_upgrade("asterisk", CRASH, [dpkg_log(tmp_path / "dpkg.log", text)]) is None


def test_a_log_that_is_no_file_has_no_upgrade(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dpkg.log")

    assert last_upgrade("asterisk", CRASH, [PackageLog(tmp_path / "dpkg.log", parse_dpkg)]) is None
