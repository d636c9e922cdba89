"""Code addresses of a core: the object, its build, and the offset from the start of the object."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astbtd.elf.code_map import CodeLocation, CrashedCode, read_crashed_code
from tests.support.builders import FORMS, DeadProcess

ASTERISK, MODULE = "/usr/sbin/asterisk", "/usr/lib/asterisk/modules/app_dial.so"
ASTERISK_BASE, MODULE_BASE = 0x10000000, 0x10100000


@contextmanager
def code_of(directory: Path, process: DeadProcess) -> Iterator[CrashedCode]:
    path = directory / "core"
    path.write_bytes(process.core())
    descriptor = os.open(path, os.O_RDONLY)
    try:
        code = read_crashed_code(descriptor)
        assert code is not None
        yield code
    finally:
        os.close(descriptor)


def test_an_address_is_an_offset_in_one_build_of_an_object(tmp_path: Path) -> None:
    with code_of(tmp_path, DeadProcess(returns_to=(0x40, 0x50))) as code:
        assert code.program_counter == ASTERISK_BASE + 0x40
        assert code.map.find(ASTERISK_BASE + 0x40) == CodeLocation(ASTERISK, "ab" * 20, 0x40)
        assert code.map.find(MODULE_BASE + 0x50) == CodeLocation(MODULE, "ab" * 20, 0x50)


def test_an_address_outside_of_all_objects_has_no_location(tmp_path: Path) -> None:
    outside = (0, 0x41, ASTERISK_BASE - 1, ASTERISK_BASE + 0x8000, 1 << 63)
    with code_of(tmp_path, DeadProcess()) as code:
        assert [code.map.find(address) for address in outside] == [None] * 5


def test_other_machines_have_locations_but_no_program_counter(tmp_path: Path) -> None:
    for form in FORMS[1:]:
        with code_of(tmp_path, DeadProcess(form=form)) as code:
            location = code.map.find(ASTERISK_BASE + 4)

        assert code.program_counter is None
        assert location is not None
        assert (location.path, location.offset) == (ASTERISK, 4)


def test_a_file_that_is_not_elf_has_no_code(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no core")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert read_crashed_code(descriptor) is None
    finally:
        os.close(descriptor)
