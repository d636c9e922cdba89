"""Directories of configuration files of systemd."""

from pathlib import Path

import pytest

from astbtd.readiness.gather import systemd_config


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The vendor's and the administrator's directory of systemd's configuration."""
    vendor, administrator = tmp_path / "usr", tmp_path / "etc"
    for directory in (vendor, administrator):
        (directory / "coredump.conf.d").mkdir(parents=True)
    monkeypatch.setattr(systemd_config, "_CONFIGURATION_DIRECTORIES", (str(vendor), str(administrator)))
    return vendor, administrator
