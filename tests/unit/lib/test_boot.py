"""The current boot of this machine."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astbtd.lib import boot
from astbtd.lib.boot import boot_id_at, boot_time, time_of_ticks


def test_a_moment_in_this_boot_has_its_id() -> None:
    expected = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")

    assert boot_id_at(datetime.now(UTC)) == expected


def test_a_moment_before_this_boot_has_none() -> None:
    started = boot_time()

    assert started is not None
    assert boot_id_at(datetime.fromtimestamp(started - 1, UTC)) is None


@pytest.mark.parametrize("content", [None, "cpu 1 2 3\n", "btime soon\n"])
def test_without_the_kernels_statistics_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "stat").write_text(content)
    monkeypatch.setattr(boot, "_STATISTICS", tmp_path / "stat")

    assert boot_time() is None
    with pytest.raises(OSError, match="boot time"):
        time_of_ticks(1)
    assert boot_id_at(datetime.now(UTC)) is None


def test_ticks_count_from_the_boot() -> None:
    started = boot_time()

    assert started is not None
    assert time_of_ticks(os.sysconf("SC_CLK_TCK")) == started + 1
