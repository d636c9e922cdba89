"""What info.txt ends with: the program and the shared objects that ran, by build id, read from the core."""

import os
from pathlib import Path

import pytest

from astbtd.elf.headers import FileType
from astbtd.extraction.build_ids import listing
from tests.support.builders import FORMS, NT_FILE, PT_NOTE, DeadProcess, Form, Part, elf_file, program

RAN = "ab" * 20
NOW = "cd" * 20


def listed(core: bytes, directory: Path) -> list[str]:
    """The lines of the listing for a core with that content, without the heading."""
    (directory / "core").write_bytes(core)
    descriptor = os.open(directory / "core", os.O_RDONLY)
    try:
        heading, *lines = listing(descriptor).splitlines()
    finally:
        os.close(descriptor)
    assert heading == f"Program and modules in use ({len(lines)}), by build id:"
    return lines


@pytest.mark.parametrize("form", FORMS)
def test_every_object_is_listed_once_by_the_build_id_that_ran(tmp_path: Path, form: Form) -> None:
    process = DeadProcess(form, mapped=("/usr/sbin/asterisk", "/m/app_dial.so", "/m/app_dial.so"))
    assert listed(process.core(), tmp_path) == [f"{RAN}  /usr/sbin/asterisk", f"{RAN}  /m/app_dial.so"]


def test_an_object_whose_file_is_still_the_same_build_needs_no_remark(tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program())
    assert listed(DeadProcess(mapped=(str(module),)).core(), tmp_path) == [f"{RAN}  {module}"]


def test_an_object_whose_file_is_another_build_by_now_is_pointed_out(tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program(build_id=bytes.fromhex(NOW)))
    expected = f"{RAN}  {module}  (the file there now is another build, {NOW})"
    assert listed(DeadProcess(mapped=(str(module),)).core(), tmp_path) == [expected]


def test_what_has_no_build_id_in_the_core_is_listed_where_its_name_is_that_of_an_object(tmp_path: Path) -> None:
    process = DeadProcess(mapped=("/usr/lib/locale/C.utf8/LC_CTYPE", "/m/app_dial.so"))
    notes_alone = elf_file(process.form, FileType.CORE, [Part(PT_NOTE, 0, process.notes())])
    assert listed(notes_alone, tmp_path) == [f"{40 * '-'}  /m/app_dial.so"]


def test_a_name_cannot_forge_a_line(tmp_path: Path) -> None:
    process = DeadProcess(mapped=(f"/m/evil.so\n{NOW}  /usr/sbin/asterisk",))
    assert listed(process.core(), tmp_path) == [rf"{RAN}  /m/evil.so\n{NOW}  /usr/sbin/asterisk"]


def test_a_core_that_names_no_files_has_none_listed(tmp_path: Path) -> None:
    assert listed(DeadProcess(without=(NT_FILE,)).core(), tmp_path) == []
