"""What the machine's own configuration says."""

from pathlib import Path

import pytest

from astbtd.readiness.facts import Coredump, Family
from astbtd.readiness.gather import host
from astbtd.sources import core_pattern

SYSTEMD_COREDUMP = core_pattern.parse("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The vendor's and the administrator's directory of systemd's configuration."""
    vendor, administrator = tmp_path / "usr", tmp_path / "etc"
    for place in (vendor, administrator):
        (place / "coredump.conf.d").mkdir(parents=True)
    monkeypatch.setattr(host, "_CONFIGURED_IN", (str(vendor), str(administrator)))
    return vendor, administrator


def test_the_limits_of_systemd_coredump_are_what_is_configured_last(places: tuple[Path, Path]) -> None:
    vendor, administrator = places
    (vendor / "coredump.conf").write_text("[Coredump]\nStorage=none\n")
    (administrator / "coredump.conf").write_text("[Coredump]\nProcessSizeMax=1G\nExternalSizeMax=1G\n")
    (vendor / "coredump.conf.d/20-vendor.conf").write_text("[Coredump]\nExternalSizeMax=2G\n")
    (administrator / "coredump.conf.d/10-first.conf").write_text("[Coredump]\nExternalSizeMax=3G\nStorage=journal\n")

    assert host.coredump(SYSTEMD_COREDUMP) == Coredump("journal", 1 << 30, 2 << 30)


def test_a_drop_in_of_the_administrator_replaces_the_vendors_of_that_name(places: tuple[Path, Path]) -> None:
    vendor, administrator = places
    (vendor / "coredump.conf.d/50.conf").write_text("[Coredump]\nStorage=none\n")
    (administrator / "coredump.conf.d/50.conf").write_text("")

    assert host.coredump(SYSTEMD_COREDUMP) == Coredump("external", 32 << 30, 32 << 30)


@pytest.mark.parametrize("pattern", ["core", "|/usr/share/apport/apport -p%p", "|", ""])
def test_where_it_does_not_collect_its_limits_do_not_matter(pattern: str) -> None:
    assert host.coredump(core_pattern.parse(pattern)) is None


def test_its_limits_count_for_its_daemon_as_well(places: tuple[Path, Path]) -> None:
    (places[0] / "coredump.conf").write_text("[Coredump]\nStorage=none\n")

    found = host.coredump(core_pattern.parse("@@/run/systemd/coredumpd/kernel"))

    assert found is not None
    assert found.storage == "none"


def test_a_setting_that_is_emptied_is_as_by_default(places: tuple[Path, Path]) -> None:
    (places[0] / "coredump.conf").write_text("[Coredump]\nStorage=none\nExternalSizeMax=1G\n")
    (places[1] / "coredump.conf.d/50.conf").write_text("[Coredump]\nStorage=\nExternalSizeMax=\n")

    assert host.coredump(SYSTEMD_COREDUMP) == Coredump("external", 32 << 30, 32 << 30)


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
    assert host.family_in(os_release) is family


def test_the_disk_of_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    disk = host.disk(str(tmp_path / "not" / "yet"))

    assert disk.path == str(tmp_path / "not" / "yet")
    assert disk.total > 0
    assert disk.free <= disk.total
