"""The list at the end of info.txt: the program and shared objects by build id, read from the core."""

import os
from pathlib import Path

import pytest

from astbtd.elf.headers import FileType
from astbtd.extraction.build_ids import MappedObject, format_objects, outdated_paths, read_mapped_objects, to_record
from astbtd.model.crash import MappedFile, ObjectState
from tests.support.builders import FORMS, NT_FILE, PT_NOTE, DeadProcess, Form, Part, elf_file, program

RAN = "ab" * 20
NOW = "cd" * 20


def list_objects(core: bytes, directory: Path) -> list[str]:
    """Return the lines for a core with that content, without the heading."""
    (directory / "core").write_bytes(core)
    descriptor = os.open(directory / "core", os.O_RDONLY)
    try:
        heading, *lines = format_objects(read_mapped_objects(descriptor)).splitlines()
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


def mapped_objects(core: bytes, directory: Path) -> tuple[MappedObject, ...]:
    (directory / "core").write_bytes(core)
    with (directory / "core").open("rb") as file:
        return read_mapped_objects(file.fileno())


def test_objects_are_the_same_replaced_or_gone(tmp_path: Path) -> None:
    same, replaced, gone = tmp_path / "same.so", tmp_path / "replaced.so", tmp_path / "gone.so"
    same.write_bytes(program())
    replaced.write_bytes(program(build_id=bytes.fromhex(NOW)))

    objects = mapped_objects(DeadProcess(mapped=(str(same), str(replaced), str(gone))).core(), tmp_path)

    assert {each.path: each.state for each in objects} == {
        str(same): ObjectState.SAME,
        str(replaced): ObjectState.REPLACED,
        str(gone): ObjectState.GONE,
    }
    assert outdated_paths(objects) == {str(replaced)}
    assert [each.replaced_at.timestamp() for each in objects if each.replaced_at] == [int(replaced.stat().st_ctime)]


def test_the_record_has_the_replaced_objects_first_and_a_limit(tmp_path: Path) -> None:
    replaced = tmp_path / "replaced.so"
    replaced.write_bytes(program(build_id=bytes.fromhex(NOW)))
    same = [MappedObject(f"/m/{number}.so", RAN, ObjectState.SAME) for number in range(600)]
    objects = mapped_objects(DeadProcess(mapped=(str(replaced),)).core(), tmp_path)

    recorded = to_record([*same, *objects, MappedObject("/m/unknown.so", None, None)])

    assert recorded[0] == MappedFile(str(replaced), RAN, ObjectState.REPLACED)
    assert len(recorded) == 512
    assert {each.state for each in recorded[1:]} == {ObjectState.SAME}


def test_of_very_many_files_the_first_ones_are_listed(tmp_path: Path) -> None:
    process = DeadProcess(mapped=tuple(f"/m/{number}.so" for number in range(10_500)))
    assert len(list_objects(process.core(), tmp_path)) == 10_000
