"""Finding the program of a core on the host or below a container's root, and copying what gdb cannot read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.errors import Interrupted, NoRoom
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.shared_objects import (
    ObjectCopier,
    SharedObjects,
    copy_path,
    exists_only_in_root,
    is_fifo,
    is_named_like_object,
)
from tests.support.builders import program

RAN, ANOTHER = b"\xab" * 20, b"\xcd" * 20


@pytest.mark.parametrize(
    ("on_host", "in_root", "expected"),
    [
        (None, RAN, True),
        (ANOTHER, RAN, True),
        (RAN, RAN, False),
        (RAN, None, False),
        (None, ANOTHER, False),
        (ANOTHER, None, False),
        (None, None, False),
    ],
)
def test_a_program_exists_only_in_the_root_if_the_host_has_no_such_build(
    tmp_path: Path, on_host: bytes | None, in_root: bytes | None, expected: bool
) -> None:
    executable, root = tmp_path / "host" / "asterisk", tmp_path / "root"
    for path, build_id in ((executable, on_host), (Path(f"{root}{executable}"), in_root)):
        path.parent.mkdir(parents=True)
        if build_id:
            path.write_bytes(program(build_id=build_id))

    assert exists_only_in_root(str(root), str(executable), RAN.hex()) is expected


@pytest.mark.parametrize(("executable", "build_id"), [(None, RAN.hex()), ("/usr/sbin/asterisk", None)])
def test_an_unknown_program_does_not_exist_in_the_root(
    tmp_path: Path, executable: str | None, build_id: str | None
) -> None:
    assert not exists_only_in_root(str(tmp_path), executable, build_id)


def test_a_fifo_at_the_path_of_a_mapped_file_is_detected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    (tmp_path / "link.so").symlink_to(tmp_path / "pipe.so")

    found = [is_fifo(str(tmp_path / name)) for name in ("pipe.so", "link.so", "gone.so", "")]

    assert found == [True, True, False, False]


STRANGER = SandboxUser(65534, os.getegid(), switched=True)
"""A user that cannot enter the temporary directories of tests."""


def copier(copies: Path, root: str = "") -> ObjectCopier:
    return ObjectCopier(STRANGER, copies, lambda _: None, root)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    directory = tmp_path / "copies"
    directory.mkdir()
    return directory


def test_unreadable_objects_are_copied_under_their_full_paths(tmp_path: Path, copies: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program(build_id=RAN))

    objects = copier(copies).prepare(str(module), RAN.hex(), [str(module)])

    copy = Path(copy_path(str(copies), str(module)))
    assert objects == SharedObjects(copied=(str(module),))
    assert copy.read_bytes() == module.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o440


def test_objects_in_a_container_are_copied_under_their_paths_in_the_container(tmp_path: Path, copies: Path) -> None:
    (tmp_path / "root" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "bin" / "asterisk").write_bytes(program(build_id=RAN))

    objects = copier(copies, str(tmp_path / "root")).prepare("/bin/asterisk", RAN.hex(), [])

    assert objects.copied == ("/bin/asterisk",)
    assert (copies / "bin" / "asterisk").exists()


def test_files_that_are_not_objects_are_not_copied(tmp_path: Path, copies: Path) -> None:
    (tmp_path / "data.so").write_text("not ELF")

    objects = copier(copies).prepare(None, None, [str(tmp_path / "data.so"), "relative.so", "/dev/zero"])

    assert objects == SharedObjects()
    assert os.listdir(copies) == []


def test_missing_objects_are_reported_by_their_names(tmp_path: Path, copies: Path) -> None:
    missing, data = str(tmp_path / "app_gone.so"), str(tmp_path / "locale-archive")

    assert copier(copies).prepare(None, None, [missing, data]).missing == (missing,)


def test_an_object_that_does_not_fit_on_the_disk_is_missing(tmp_path: Path, copies: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program(build_id=RAN))

    def refuse(size: int) -> None:
        raise NoRoom(f"no room for {size} bytes")

    assert ObjectCopier(STRANGER, copies, refuse).prepare(None, None, [str(module)]).missing == (str(module),)


def test_an_executable_of_another_build_is_reported_as_changed(tmp_path: Path, copies: Path) -> None:
    executable = tmp_path / "asterisk"
    executable.write_bytes(program(build_id=ANOTHER))

    assert copier(copies).prepare(str(executable), RAN.hex(), []).changed
    assert not copier(copies / "again").prepare(str(executable), ANOTHER.hex(), []).changed


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/sbin/asterisk", True),
        ("/usr/lib/libc.so.6", True),
        ("/usr/lib/locale/locale-archive", False),
        ("/dev/shm/x.so", False),
        ("/memfd:x.so", False),
    ],
)
def test_objects_are_recognized_by_their_names(path: str, expected: bool) -> None:
    assert is_named_like_object(path) is expected


def test_the_copies_of_one_process_are_limited_in_total(
    tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = [tmp_path / f"app_{number}.so" for number in range(3)]
    for module in modules:
        module.write_bytes(program(build_id=RAN).ljust(8192, b"x"))
    monkeypatch.setattr("astbtd.extraction.shared_objects._MAX_COPIED_BYTES", 2 * 8192)

    objects = copier(copies).prepare(None, None, [str(module) for module in modules])

    assert objects.copied == (str(modules[0]), str(modules[1]))
    assert objects.missing == (str(modules[2]),)


def test_a_stop_request_ends_the_copying(tmp_path: Path, copies: Path) -> None:
    modules = [tmp_path / f"app_{number}.so" for number in range(3)]
    for module in modules:
        module.write_bytes(program(build_id=RAN))

    def stop() -> None:
        if list(copies.rglob("*.so")):
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        replace(copier(copies), check_interrupt=stop).prepare(None, None, [str(module) for module in modules])
    assert len(list(copies.rglob("*.so"))) == 1


def test_an_object_with_many_names_is_copied_once(tmp_path: Path, copies: Path) -> None:
    names = [tmp_path / f"app_{number}.so" for number in range(10)]
    names[0].write_bytes(program(build_id=RAN))
    names[0].chmod(0o600)
    for name in names[1:]:
        name.hardlink_to(names[0])

    objects = copier(copies).prepare(None, None, [str(name) for name in names])

    assert len(objects.copied) == 10
    assert len({path.stat().st_ino for path in copies.rglob("*.so")}) == 1
