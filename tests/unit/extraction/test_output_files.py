"""What gdb wrote is measured by the room that it takes, and cut where there is more than may be."""

import ctypes
import os
from pathlib import Path

from astbtd.extraction import output_files
from astbtd.model.crash import Section

_KEEP_SIZE = 1  # fallocate(2)


def test_beyond_the_limit_the_worthiest_sections_stay(tmp_path: Path) -> None:
    with output_files.opened(tmp_path, -1) as opened:
        for section in (Section.BACKTRACE, Section.FULL, Section.INFO):
            os.write(opened.descriptors[section], bytes(1000))
        opened.cut(1500)
        assert opened.sizes() == {Section.BACKTRACE: 1000, Section.FULL: 500}


def test_room_that_is_taken_beyond_the_end_counts_and_is_given_back(tmp_path: Path) -> None:
    with output_files.opened(tmp_path, -1) as opened:
        section = opened.descriptors[Section.FULL]
        assert ctypes.CDLL(None).fallocate(section, _KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(1 << 20)) == 0
        assert os.fstat(section).st_size == 0
        assert opened.total() >= 1 << 20

        opened.cut(1 << 16)
        assert opened.total() == 0
