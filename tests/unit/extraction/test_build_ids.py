"""The list at the end of info.txt: the program and shared objects by build id, read from the core."""

import os
from pathlib import Path

import pytest

from astbtd.elf.headers import FileType
from astbtd.extraction.build_ids import format_object_list
from tests.support.builders import FORMS, NT_FILE, PT_NOTE, DeadProcess, Form, Part, elf_file, program

RAN = "ab" * 20
NOW = "cd" * 20


def list_objects(core: bytes, directory: Path) -> list[str]:
    """Return the lines for a core with that content, without the heading."""
    (directory / "core").write_bytes(core)
    descriptor = os.open(directory / "core", os.O_RDONLY)
    try:
        heading, *lines = format_object_list(descriptor).splitlines()
    finally:
        os.close(descriptor)
    assert heading == f"Program and modules in use ({len(lines)}), by build id:"
    return lines


@pytest.mark.parametrize("form", FORMS)
def test_every_object_is_listed_once_by_its_build_id_in_the_core(tmp_path: Path, form: Form) -> None:
    process = DeadProcess(form, mapped=("/usr/sbin/asterisk", "/m/app_dial.so", "/m/app_dial.so"))
    assert list_objects(process.core(), tmp_path) == [f"{RAN}  /usr/sbin/asterisk", f"{RAN}  /m/app_dial.so"]


def test_an_object_whose_file_is_unchanged_has_no_remark(tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program())
    assert list_objects(DeadProcess(mapped=(str(module),)).core(), tmp_path) == [f"{RAN}  {module}"]


def test_an_object_whose_file_is_another_build_has_a_remark(tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program(build_id=bytes.fromhex(NOW)))
    expected = f"{RAN}  {module}  (the file on disk is another build now: {NOW})"
    assert list_objects(DeadProcess(mapped=(str(module),)).core(), tmp_path) == [expected]


def test_a_file_without_a_build_id_is_listed_if_it_is_named_like_an_object(tmp_path: Path) -> None:
    process = DeadProcess(mapped=("/usr/lib/locale/C.utf8/LC_CTYPE", "/m/app_dial.so"))
    notes_alone = elf_file(process.form, FileType.CORE, [Part(PT_NOTE, 0, process.notes())])
    assert list_objects(notes_alone, tmp_path) == [f"{40 * '-'}  /m/app_dial.so"]


def test_a_path_cannot_forge_a_line(tmp_path: Path) -> None:
    process = DeadProcess(mapped=(f"/m/evil.so\n{NOW}  /usr/sbin/asterisk",))
    assert list_objects(process.core(), tmp_path) == [rf"{RAN}  /m/evil.so\n{NOW}  /usr/sbin/asterisk"]


def test_a_core_without_a_file_table_has_an_empty_list(tmp_path: Path) -> None:
    assert list_objects(DeadProcess(without=(NT_FILE,)).core(), tmp_path) == []
