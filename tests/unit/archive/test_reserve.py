"""Part of the disk stays free."""

from pathlib import Path

import pytest

from astbtd.archive.reserve import Reserve
from astbtd.errors import NoRoom

MORE_THAN_ANY_DISK = 1 << 80


def test_what_fits_is_let_through(tmp_path: Path) -> None:
    Reserve(tmp_path, share=0).check(0)


def test_what_does_not_fit_is_refused_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match="would leave less than 10% of the disk") as caught:
        Reserve(tmp_path, share=0.1).check(MORE_THAN_ANY_DISK)

    assert "retention.minimum_free" in caught.value.remedy


def test_a_disk_below_its_reserve_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoRoom):
        Reserve(tmp_path, share=1.1).check(0)
