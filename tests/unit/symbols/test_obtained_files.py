"""Root takes over what the networked unit has downloaded, and nothing else."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.elf.headers import build_id, file_reader
from astbtd.errors import NoRoom
from astbtd.symbols.obtained_files import ObtainedFiles
from astbtd.symbols.symbol_directories import SymbolDirectories

OTHER = "ab" * 20
SIZE = 1 << 20


class Bench:
    """The directories, a debug file, and what was logged."""

    def __init__(self, directory: Path) -> None:
        self.directories = SymbolDirectories(directory / "cache")
        self.directories.found.mkdir(parents=True)
        self.logged: list[str] = []
        self.program = directory / "program"
        command = ["gcc", "-g", "-Wl,--build-id", "-x", "c", "-", "-o", str(self.program)]
        subprocess.run(command, input=b"int main(void) { return 0; }", check=True)
        with self.program.open("rb") as file:
            self.build_id = build_id(file_reader(file.fileno())) or ""

    def obtained(
        self, size: int = SIZE, keep: int = SIZE, check_reserve: Callable[[int], None] = lambda _: None
    ) -> ObtainedFiles:
        made = ObtainedFiles(self.directories, -1, size, keep, check_reserve, self.logged.append)
        made.prepare()
        return made

    def download(self, build_id: str) -> Path:
        """Put the debug file into the unit's directory, under the name of a build."""
        target = self.directories.found / build_id
        target.write_bytes(self.program.read_bytes())
        return target


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def found(bench: Bench) -> list[str]:
    return os.listdir(bench.directories.found)


def test_a_wanted_file_is_taken_over(bench: Bench) -> None:
    bench.download(bench.build_id)

    taken = bench.obtained().take_over([bench.build_id], [])

    placed = bench.directories.debug_file(bench.build_id)
    assert taken == (bench.build_id,)
    assert placed.read_bytes() == bench.program.read_bytes()
    assert placed == bench.directories.debug / ".build-id" / bench.build_id[:2] / f"{bench.build_id[2:]}.debug"
    assert bench.directories.has_debug_file(bench.build_id)
    assert found(bench) == []


def test_nobody_can_write_a_file_that_was_taken_over(bench: Bench) -> None:
    bench.download(bench.build_id)
    bench.obtained().take_over([bench.build_id], [])

    assert bench.directories.debug_file(bench.build_id).stat().st_mode & 0o777 == 0o440
    assert bench.directories.debug.stat().st_mode & 0o777 == 0o750


def test_what_was_not_asked_for_is_removed(bench: Bench) -> None:
    bench.download(bench.build_id)
    (bench.directories.found / "notes").write_text("")

    assert bench.obtained().take_over([OTHER], []) == ()

    assert found(bench) == []
    assert not bench.directories.debug_file(bench.build_id).exists()


def test_a_file_of_another_build_is_refused(bench: Bench) -> None:
    bench.download(OTHER)

    assert bench.obtained().take_over([OTHER], []) == ()

    assert bench.logged == [f"refused the debug file of build {OTHER}: its build id is {bench.build_id}"]
    assert not bench.directories.debug_file(OTHER).exists()


def test_a_large_file_is_refused_without_being_copied(bench: Bench) -> None:
    bench.download(bench.build_id)

    assert bench.obtained(size=100).take_over([bench.build_id], []) == ()

    assert "symbols.size" in bench.logged[0]


def test_what_the_unit_has_planted_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bench.program.read_bytes())
    (bench.directories.found / bench.build_id).symlink_to(secret)
    os.mkfifo(bench.directories.found / OTHER)

    assert bench.obtained().take_over([bench.build_id, OTHER], []) == ()

    assert found(bench) == []
    assert secret.exists()


def test_a_directory_in_place_of_a_file_is_left(bench: Bench) -> None:
    (bench.directories.found / bench.build_id).mkdir()

    assert bench.obtained().take_over([bench.build_id], []) == ()


def test_without_the_units_directory_nothing_is_taken_over(bench: Bench) -> None:
    bench.directories.found.rmdir()

    assert bench.obtained().take_over([bench.build_id], []) == ()


def test_files_that_are_not_needed_make_room(bench: Bench) -> None:
    unneeded = bench.directories.debug_file(OTHER)
    obtained = bench.obtained(keep=bench.program.stat().st_size + 100)
    unneeded.parent.mkdir()
    unneeded.write_bytes(bytes(1000))
    bench.download(bench.build_id)

    assert obtained.take_over([bench.build_id], [bench.build_id]) == (bench.build_id,)

    assert not unneeded.exists()


def test_files_that_are_needed_stay(bench: Bench) -> None:
    needed = bench.directories.debug_file(OTHER)
    obtained = bench.obtained(keep=bench.program.stat().st_size + 100)
    needed.parent.mkdir()
    needed.write_bytes(bytes(1000))
    bench.download(bench.build_id)

    assert obtained.take_over([bench.build_id], [OTHER]) == ()

    assert needed.exists()
    assert bench.logged == [f"left out the debug file of build {bench.build_id}: symbols.keep is reached"]


def test_without_disk_space_the_download_stays_for_later(bench: Bench) -> None:
    def refuse(_: int) -> None:
        raise NoRoom("the disk is full")

    download = bench.download(bench.build_id)

    with pytest.raises(NoRoom):
        bench.obtained(check_reserve=refuse).take_over([bench.build_id], [])

    assert download.exists()
    assert list(bench.directories.debug.rglob("*.new")) == []


def test_what_a_kill_has_left_is_removed(bench: Bench) -> None:
    leftover = bench.directories.debug_file(OTHER).with_name(f".{OTHER[2:]}.debug.new")
    bench.obtained()
    leftover.parent.mkdir()
    leftover.touch()

    bench.obtained()

    assert not leftover.exists()
