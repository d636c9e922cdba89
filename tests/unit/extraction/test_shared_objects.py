"""Copying what gdb cannot read."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, Interrupted, NoRoom
from astbtd.extraction.object_paths import copy_path
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.shared_objects import ObjectCopier, SharedObjects
from tests.support.builders import program

RAN, ANOTHER = b"\xab" * 20, b"\xcd" * 20


needs_root = pytest.mark.root
"""For tests whose files must belong to root: gdb gets private copies of those that others can exchange."""

STRANGER = SandboxUser(os.geteuid() + 1, os.getegid(), switched=True)
"""A user that cannot enter the temporary directories of tests."""


def copier(copies: Path, root: str = "") -> ObjectCopier:
    return ObjectCopier(STRANGER, copies, lambda _: None, root)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    directory = tmp_path / "copies"
    directory.mkdir()
    return directory


@needs_root
def test_unreadable_objects_are_copied_under_their_full_paths(tmp_path: Path, copies: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program(build_id=RAN))

    objects = copier(copies).prepare(str(module), RAN.hex(), [str(module)])

    copy = Path(copy_path(str(copies), str(module)))
    assert objects == SharedObjects(copied=(str(module),))
    assert copy.read_bytes() == module.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o440


@needs_root
def test_objects_in_a_container_are_copied_under_their_paths_in_the_container(tmp_path: Path, copies: Path) -> None:
    (tmp_path / "root" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "bin" / "asterisk").write_bytes(program(build_id=RAN))

    objects = copier(copies, str(tmp_path / "root")).prepare("/bin/asterisk", RAN.hex(), [])

    assert objects.copied == ("/bin/asterisk",)
    assert (copies / "bin" / "asterisk").exists()


@needs_root
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


@needs_root
def test_an_executable_of_another_build_is_reported_as_changed(tmp_path: Path, copies: Path) -> None:
    executable = tmp_path / "asterisk"
    executable.write_bytes(program(build_id=ANOTHER))

    assert copier(copies).prepare(str(executable), RAN.hex(), []).changed
    assert not copier(copies / "again").prepare(str(executable), ANOTHER.hex(), []).changed


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


@dataclass(frozen=True)
class FakeSource:
    """Has one object, whose content may be damaged."""

    content: bytes = program(build_id=RAN)
    is_damaged: bool = False

    def has(self, build_id: str | None) -> bool:
        return build_id == RAN.hex()

    def write_out(self, _: str, target: int) -> None:
        os.write(target, self.content)
        if self.is_damaged:
            raise AstbtdError("it is damaged")


def prepare_lost(copies: Path, source: FakeSource, present: Path, lost: Path) -> SharedObjects:
    """Prepare an executable that is `present` and a module that is `lost`, the same for all users."""
    copier = ObjectCopier(SandboxUser(0, 0, switched=False), copies, lambda _: None, source=source)
    return copier.prepare(str(present), ANOTHER.hex(), [str(present), str(lost)], {str(lost): RAN.hex()})


@needs_root
def test_an_object_that_is_not_on_disk_is_written_from_the_kept_ones_beside_links_to_the_others(
    tmp_path: Path, copies: Path
) -> None:
    present, lost = tmp_path / "asterisk", tmp_path / "libx.so.1.2"
    present.write_bytes(program(build_id=ANOTHER))
    lost.write_bytes(program(build_id=ANOTHER))

    objects = prepare_lost(copies, FakeSource(), present, lost)

    assert (objects.kept, objects.missing, objects.changed) == ((str(lost),), (), False)
    tree = copies / (objects.tree or "")
    assert Path(copy_path(str(tree), str(lost))).read_bytes() == program(build_id=RAN)
    assert os.readlink(copy_path(str(tree), str(present))) == str(present)
    assert os.readlink(copy_path(str(tree), str(tmp_path / "libx.so.1"))) == "libx.so.1.2"


def test_a_damaged_kept_object_is_missing(tmp_path: Path, copies: Path) -> None:
    present, lost = tmp_path / "asterisk", tmp_path / "app_dial.so"
    present.write_bytes(program(build_id=ANOTHER))

    objects = prepare_lost(copies, FakeSource(is_damaged=True), present, lost)

    assert (objects.kept, objects.missing) == ((), (str(lost),))
    assert not Path(copy_path(str(copies / (objects.tree or "")), str(lost))).exists()


def test_a_kept_program_does_not_count_as_changed(tmp_path: Path, copies: Path) -> None:
    executable = tmp_path / "asterisk"
    executable.write_bytes(program(build_id=ANOTHER))
    copier = ObjectCopier(STRANGER, copies, lambda _: None, source=FakeSource())

    objects = copier.prepare(str(executable), RAN.hex(), [], {str(executable): RAN.hex()})

    assert objects.kept == (str(executable),)
    assert not objects.changed
