"""Keeping the objects of a process or a core: only what was mapped, up to the limit."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.errors import Interrupted, NoRoom
from astbtd.lib import path_walk
from astbtd.lib.path_walk import open_exchangeable
from astbtd.pipeline.object_keeper import KeepResult, ObjectKeeper
from astbtd.store.kept_objects import KeptObjects, read_build_id
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from tests.support.builders import DeadProcess, program
from tests.support.containers.container import wait_until

BUILD = "ab" * 20


def keeper(store: Store, limit: int | None = None) -> ObjectKeeper:
    return ObjectKeeper(store, limit, DiskReserve(store.root, 0.0), lambda _: None)


def keep_core(keeping: ObjectKeeper, process: DeadProcess, directory: Path) -> KeepResult:
    (directory / "core").write_bytes(process.core())
    with (directory / "core").open("rb") as core:
        return keeping.keep_mapped(core.fileno())


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a program of its own, which has loaded its library."""
    program_file = tmp_path / "sleep"
    program_file.write_bytes(Path("/bin/sleep").read_bytes())
    program_file.chmod(0o755)
    with subprocess.Popen([program_file, "inf"]) as process:
        wait_until(lambda: "/libc." in Path(f"/proc/{process.pid}/maps").read_text(), "libc is mapped")
        yield process
        process.kill()


def test_the_objects_that_a_core_had_mapped_are_kept(store: Store, tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program())

    result = keep_core(keeper(store), DeadProcess(mapped=(str(module),)), tmp_path)

    assert (result.build_ids, result.refused, result.added) == ({BUILD}, [], 1)
    assert KeptObjects(store.root).has(BUILD)


@pytest.mark.parametrize("at_path", ["another build", "no program", "fifo"])
def test_a_file_that_the_core_names_but_that_was_not_mapped_is_refused(
    store: Store, tmp_path: Path, at_path: str
) -> None:
    module = tmp_path / "app_dial.so"
    match at_path:
        case "another build":
            module.write_bytes(program(build_id=b"\xcd" * 20))
        case "no program":
            module.write_text("secret")
        case "fifo":
            os.mkfifo(module)

    result = keep_core(keeper(store), DeadProcess(mapped=(str(module),)), tmp_path)

    assert result.build_ids == set()
    assert str(module) in result.refused[0]
    assert KeptObjects(store.root).sizes() == {}


def test_a_missing_file_is_no_error(store: Store, tmp_path: Path) -> None:
    result = keep_core(keeper(store), DeadProcess(mapped=(str(tmp_path / "gone.so"),)), tmp_path)

    assert result == KeepResult()


def test_an_object_that_is_kept_already_is_not_opened(store: Store, tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program())
    process = DeadProcess(mapped=(str(module),))
    keep_core(keeper(store), process, tmp_path)
    module.unlink()

    assert keep_core(keeper(store), process, tmp_path).build_ids == {BUILD}


def test_the_objects_of_a_running_process_are_kept(store: Store, sleeping: "subprocess.Popen[bytes]") -> None:
    result = keeper(store).keep_running(sleeping.pid)

    assert result.refused == []
    assert result.added == len(result.build_ids) > 2
    assert KeptObjects(store.root).sizes().keys() == result.build_ids


def test_a_program_that_was_replaced_is_kept_from_the_process(
    store: Store, tmp_path: Path, sleeping: "subprocess.Popen[bytes]"
) -> None:
    (tmp_path / "sleep").unlink()
    (tmp_path / "sleep").write_bytes(program(build_id=b"\xcd" * 20))
    with Path("/bin/sleep").open("rb") as file:
        own = read_build_id(file.fileno())

    result = keeper(store).keep_running(sleeping.pid)

    assert own in result.build_ids
    assert "cd" * 20 not in result.build_ids


def test_nothing_is_kept_beyond_the_limit_and_the_reason_is_given(store: Store, tmp_path: Path) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program())

    result = keep_core(keeper(store, limit=10), DeadProcess(mapped=(str(module),)), tmp_path)

    assert result.build_ids == set()
    assert result.no_room == "the kept objects would exceed 10B"


def test_objects_that_no_core_needs_make_room(store: Store, tmp_path: Path) -> None:
    kept, module = KeptObjects(store.root), tmp_path / "app_dial.so"
    module.write_bytes(program(build_id=b"\xcd" * 20) + os.urandom(8192))
    with module.open("rb") as file:
        _, size = kept.add(file.fileno())
    module.write_bytes(program() + os.urandom(8192))

    result = keep_core(keeper(store, limit=size + 100), DeadProcess(mapped=(str(module),)), tmp_path)

    assert result.build_ids == {BUILD} == kept.sizes().keys()


def test_a_full_disk_ends_the_work_without_an_exception(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "app_dial.so"
    module.write_bytes(program())

    def fail(*_: object) -> None:
        raise NoRoom("the disk is full")

    monkeypatch.setattr(KeptObjects, "add", fail)

    assert keep_core(keeper(store), DeadProcess(mapped=(str(module),)), tmp_path).no_room == "the disk is full"


def test_the_work_ends_when_it_is_interrupted(store: Store, sleeping: "subprocess.Popen[bytes]") -> None:
    result = keeper(store).keep_running(sleeping.pid, lambda: True)

    assert result.added == 1  # the program


def test_stopping_is_not_taken_for_a_failure(store: Store, tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise Interrupted("the daemon stops")

    module = tmp_path / "app_dial.so"
    module.write_bytes(program())
    stopping = ObjectKeeper(store, None, DiskReserve(store.root, 0.0), stop)

    with pytest.raises(Interrupted):
        keep_core(stopping, DeadProcess(mapped=(str(module),)), tmp_path)


def test_what_only_root_can_change_is_kept_before_a_forged_copy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged, genuine = tmp_path / "forged.so", tmp_path / "libc.so"
    forged.write_bytes(program() + b"forged")
    genuine.write_bytes(program() + b"genuine")
    monkeypatch.setattr(
        path_walk, "open_exchangeable", lambda path, root: (open_exchangeable(path, root)[0], path == str(forged))
    )

    keep_core(keeper(store), DeadProcess(mapped=(str(forged), str(genuine))), tmp_path)

    memory = os.memfd_create("object")
    KeptObjects(store.root).write_out(BUILD, memory)
    assert os.pread(memory, 1 << 16, 0).endswith(b"genuine")
    os.close(memory)
