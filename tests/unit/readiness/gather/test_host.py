"""Facts about the host: distribution, disk, limits of systemd-coredump."""

from pathlib import Path

import pytest

from astbtd.readiness.facts import Coredump, Family
from astbtd.readiness.gather import host
from astbtd.sources import core_pattern

SYSTEMD_COREDUMP = core_pattern.parse("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h")


def test_the_last_configured_limits_of_systemd_coredump_apply(directories: tuple[Path, Path]) -> None:
    vendor, administrator = directories
    (vendor / "coredump.conf").write_text("[Coredump]\nStorage=none\n")
    (administrator / "coredump.conf").write_text("[Coredump]\nProcessSizeMax=1G\nExternalSizeMax=1G\n")
    (vendor / "coredump.conf.d/20-vendor.conf").write_text("[Coredump]\nExternalSizeMax=2G\n")
    (administrator / "coredump.conf.d/10-first.conf").write_text("[Coredump]\nExternalSizeMax=3G\nStorage=journal\n")

    assert host.read_coredump(SYSTEMD_COREDUMP) == Coredump("journal", 1 << 30, 2 << 30)


def test_a_drop_in_of_the_administrator_replaces_the_vendors_with_the_same_name(directories: tuple[Path, Path]) -> None:
    vendor, administrator = directories
    (vendor / "coredump.conf.d/50.conf").write_text("[Coredump]\nStorage=none\n")
    (administrator / "coredump.conf.d/50.conf").write_text("")

    assert host.read_coredump(SYSTEMD_COREDUMP) == Coredump("external", 32 << 30, 32 << 30)


@pytest.mark.parametrize("pattern", ["core", "|/usr/share/apport/apport -p%p", "|", ""])
def test_limits_of_an_inactive_systemd_coredump_are_not_read(pattern: str) -> None:
    assert host.read_coredump(core_pattern.parse(pattern)) is None


def test_the_limits_also_apply_to_the_socket_of_systemd_coredump(directories: tuple[Path, Path]) -> None:
    (directories[0] / "coredump.conf").write_text("[Coredump]\nStorage=none\n")

    found = host.read_coredump(core_pattern.parse("@@/run/systemd/coredumpd/kernel"))

    assert found is not None
    assert found.storage == "none"


def test_an_empty_setting_resets_to_the_default(directories: tuple[Path, Path]) -> None:
    (directories[0] / "coredump.conf").write_text("[Coredump]\nStorage=none\nExternalSizeMax=1G\n")
    (directories[1] / "coredump.conf.d/50.conf").write_text("[Coredump]\nStorage=\nExternalSizeMax=\n")

    assert host.read_coredump(SYSTEMD_COREDUMP) == Coredump("external", 32 << 30, 32 << 30)


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ("ID=debian\n", Family.DEBIAN),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', Family.DEBIAN),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', Family.RHEL),
        ("ID=fedora\n", Family.RHEL),
        ("ID=arch\n", Family.OTHER),
        ("", Family.OTHER),
    ],
)
def test_the_family_of_the_distribution(os_release: str, family: Family) -> None:
    assert host.parse_family(os_release) is family


def test_the_disk_of_a_store_that_does_not_exist_yet(tmp_path: Path) -> None:
    disk = host.read_disk(str(tmp_path / "not" / "yet"))

    assert disk.path == str(tmp_path / "not" / "yet")
    assert disk.total > 0
    assert disk.free <= disk.total
