"""Part of the disk stays free."""

from pathlib import Path

import pytest

from astbtd.errors import NoRoom
from astbtd.store.retention.disk_reserve import Disk, DiskReserve

MORE_THAN_ANY_DISK = 1 << 80


def test_what_fits_is_let_through(tmp_path: Path) -> None:
    DiskReserve(tmp_path, share=0).check(0)


def test_what_does_not_fit_is_refused_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match="would leave less than 10% of the disk") as caught:
        DiskReserve(tmp_path, share=0.1).check(MORE_THAN_ANY_DISK)

    assert "retention.minimum_free" in caught.value.remedy


def test_room_that_can_be_made_is_made_for_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks = iter((Disk(free=100, total=1000), Disk(free=160, total=1000)))
    monkeypatch.setattr(Disk, "from_path", lambda _: next(disks))
    asked: list[int] = []

    DiskReserve(tmp_path, share=0.1, make_room=asked.append).check(60)

    assert asked == [60]


def test_no_room_is_made_where_there_is_enough(tmp_path: Path) -> None:
    asked: list[int] = []

    DiskReserve(tmp_path, share=0, make_room=asked.append).check(0)

    assert asked == []


def test_a_disk_below_its_reserve_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoRoom):
        DiskReserve(tmp_path, share=1.1).check(0)
