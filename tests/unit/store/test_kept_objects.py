"""Keeping programs by build id: verified, complete or absent, and never twice."""

import os
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, NoRoom
from astbtd.store import kept_objects
from astbtd.store.core_archive import Progress
from astbtd.store.kept_objects import UNKNOWN_FILE, KeptObjects, NotKept
from astbtd.store.store import Store
from tests.support.builders import DeadProcess, program

BUILD = b"\xab" * 20
LARGE = program(build_id=BUILD) + os.urandom(1 << 20)


@pytest.fixture
def kept(tmp_path: Path) -> KeptObjects:
    store = Store(tmp_path / "store")
    store.prepare()
    return KeptObjects(store.root)


def add(kept: KeptObjects, path: Path, most: int | None = None, progress: Progress = lambda _: None) -> tuple[str, int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return kept.add(descriptor, most, progress)
    finally:
        os.close(descriptor)


def content(kept: KeptObjects, build_id: str) -> bytes:
    memory = os.memfd_create("object")
    try:
        kept.write_out(build_id, memory)
        return os.pread(memory, 1 << 24, 0)
    finally:
        os.close(memory)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "app_dial.so"
    path.write_bytes(LARGE)
    return path


def test_an_object_is_kept_under_its_build_id_and_written_out_unchanged(kept: KeptObjects, module: Path) -> None:
    build_id, size = add(kept, module)

    path = kept.store / "objects" / "ab" / f"{BUILD.hex()}.zst"
    assert build_id == BUILD.hex()
    assert kept.has(build_id)
    assert kept.sizes() == {build_id: size} == {build_id: path.stat().st_size}
    assert content(kept, build_id) == LARGE
    assert os.listdir(path.parent) == [path.name]


def test_a_build_is_copied_once(kept: KeptObjects, module: Path) -> None:
    build_id, _ = add(kept, module)
    inode = kept.path(build_id).stat().st_ino

    add(kept, module)

    assert kept.path(build_id).stat().st_ino == inode


def test_an_object_that_is_changed_while_it_is_copied_is_not_kept(kept: KeptObjects, module: Path) -> None:
    def change(_: int) -> None:
        with module.open("r+b") as file:
            file.seek(4096)
            file.write(b"another build")

    with pytest.raises(NotKept, match="changed while it was copied"):
        add(kept, module, progress=change)

    assert kept.sizes() == {}
    assert list(kept.entries()) == []


def test_an_object_that_is_replaced_while_it_is_copied_is_kept_as_it_was(kept: KeptObjects, module: Path) -> None:
    def replace(_: int) -> None:
        module.with_name("new").write_bytes(program(build_id=b"\xcd" * 20))
        module.with_name("new").replace(module)

    build_id, _ = add(kept, module, progress=replace)

    assert content(kept, build_id) == LARGE


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", DeadProcess().core(), program(build_id=b"\xab")])
def test_what_is_not_a_program_with_a_build_id_is_not_kept(kept: KeptObjects, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)

    with pytest.raises(NotKept, match="not a program or shared object"):
        add(kept, tmp_path / "other")


def test_an_object_that_is_too_large_is_not_read(
    kept: KeptObjects, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_objects, "LARGEST", 1 << 20)

    with pytest.raises(NotKept, match="larger than"):
        add(kept, module)


def test_an_object_beyond_the_limit_leaves_nothing(kept: KeptObjects, module: Path) -> None:
    with pytest.raises(NoRoom):
        add(kept, module, most=1000)

    assert list(kept.entries()) == []


def test_an_object_of_another_build_is_not_written_out(kept: KeptObjects, module: Path) -> None:
    build_id, _ = add(kept, module)
    other = "ab" + "cd" * 19
    kept.path(build_id).rename(kept.path(other))

    with pytest.raises(AstbtdError, match="another build id"):
        content(kept, other)


@pytest.mark.parametrize("name", ["../../seen", "AB", "ab/cd", "", "ab" * 65])
def test_a_name_that_is_no_build_id_is_not_looked_up(kept: KeptObjects, name: str) -> None:
    assert not kept.has(name)


@pytest.mark.parametrize("whole", [True, False])
def test_problems_of_files_are_found(kept: KeptObjects, module: Path, *, whole: bool) -> None:
    build_id, _ = add(kept, module)
    path = kept.path(build_id)
    stray = path.with_name("stray")
    stray.touch()

    def problem(of: Path) -> str | None:
        return kept.find_problem(of, lambda _: None, whole=whole)

    assert problem(path) is None
    assert problem(stray) == UNKNOWN_FILE
    path.write_bytes(b"not compressed")
    assert "is damaged" in (problem(path) or "")
