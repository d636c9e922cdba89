"""The configuration files of systemd."""

from pathlib import Path

import pytest

from astbtd.readiness.gather.systemd_config import parse_assignments, parse_size, read_configuration


def test_the_administrators_main_file_replaces_the_vendors(directories: tuple[Path, Path]) -> None:
    vendor, administrator = directories
    (vendor / "coredump.conf").write_text("[Coredump]\nStorage=none\n")
    (administrator / "coredump.conf").write_text("[Coredump]\nProcessSizeMax=1G\n")

    assert read_configuration("coredump.conf", "Coredump") == {"ProcessSizeMax": "1G"}


def test_drop_ins_apply_in_the_order_of_their_names(directories: tuple[Path, Path]) -> None:
    vendor, administrator = directories
    (vendor / "coredump.conf.d/20-vendor.conf").write_text("[Coredump]\nExternalSizeMax=2G\n")
    (administrator / "coredump.conf.d/10-first.conf").write_text("[Coredump]\nExternalSizeMax=3G\nStorage=journal\n")

    assert read_configuration("coredump.conf", "Coredump") == {"ExternalSizeMax": "2G", "Storage": "journal"}


@pytest.mark.usefixtures("directories")
def test_without_files_there_are_no_settings() -> None:
    assert read_configuration("missing.conf", "Coredump") == {}


def test_the_last_assignment_of_the_section_counts() -> None:
    main = "[Coredump]\n#Storage=none\n;Storage=none\nStorage = journal\nProcessSizeMax=1G\n[Other]\nStorage=none\n"
    drop_in = "Storage=none\n[Coredump]\nStorage=external\n"

    assert parse_assignments([main, drop_in], "Coredump") == {"Storage": "external", "ProcessSizeMax": "1G"}


@pytest.mark.parametrize(
    ("text", "expected"), [("2G", 2 << 30), ("512", 512), ("infinity", None), (None, 7), ("", 7), ("much", 7)]
)
def test_sizes_are_parsed(text: str | None, expected: int | None) -> None:
    assert parse_size(text, 7) == expected
