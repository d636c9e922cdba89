"""The copy of the executable that hides its macros from gdb."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.errors import NoRoom
from astbtd.extraction.macro_free_copy import MacroFreeCopy
from astbtd.extraction.object_paths import copy_path
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.shared_objects import SharedObjects

OURSELVES = SandboxUser(os.geteuid(), os.getegid(), switched=False)
NOTHING = SharedObjects()
LONG_AGO = 1_500_000_000
SOURCE = "#define ANSWER 42\nint main(void) { return ANSWER; }\n"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles a program with these options."""

    def compile_with(*options: str) -> Path:
        directory = tmp_path_factory.mktemp("program")
        (directory / "main.c").write_text(SOURCE)
        subprocess.run(["gcc", *options, "-o", "asterisk", "main.c"], cwd=directory, check=True)
        os.utime(directory / "asterisk", (LONG_AGO, LONG_AGO))
        return directory / "asterisk"

    return compile_with


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    directory = tmp_path / "copies"
    directory.mkdir()
    return directory


def copier(copies: Path, root: str = "", check_reserve: Callable[[int], None] = lambda _: None) -> MacroFreeCopy:
    return MacroFreeCopy(OURSELVES, copies, root, check_reserve)


def ask_gdb(program: Path, command: str) -> str:
    argv = ("gdb", "-nx", "--batch", program, "-ex", "list main", "-ex", command)
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_gdb_sees_the_functions_and_lines_of_the_copy_and_no_macros(
    compiled: Callable[..., Path], copies: Path
) -> None:
    program = compiled("-g3")
    before = program.read_bytes()

    objects = copier(copies).add(NOTHING, str(program))

    copy = Path(copy_path(str(copies), str(program)))
    assert objects.copied == (str(program),)
    assert "#define ANSWER 42" in ask_gdb(program, "info macro ANSWER")
    assert "has no definition" in ask_gdb(copy, "info macro ANSWER")
    assert ask_gdb(copy, "info line main") == ask_gdb(program, "info line main")
    assert program.read_bytes() == before
    assert copy.stat().st_mtime == LONG_AGO, "gdb warns of an executable that is newer than the core"
    assert [each.name for each in copy.parent.iterdir()] == [copy.name]


@pytest.mark.parametrize("options", [("-g",), ("-s",)])
def test_an_executable_without_macros_is_not_copied(
    compiled: Callable[..., Path], copies: Path, options: tuple[str, ...]
) -> None:
    assert copier(copies).add(NOTHING, str(compiled(*options))) is NOTHING
    assert list(copies.iterdir()) == []


def test_an_executable_whose_other_debug_information_is_in_a_separate_file_is_not_copied(
    compiled: Callable[..., Path], copies: Path
) -> None:
    program = compiled("-g3")
    subprocess.run(["objcopy", f"--add-gnu-debuglink={program}", program], check=True)

    assert copier(copies).add(NOTHING, str(program)) is NOTHING, "gdb looks for the other file beside the executable"


def test_in_a_tree_the_copy_replaces_the_link_and_the_original_stays_as_it_is(
    compiled: Callable[..., Path], copies: Path
) -> None:
    program = compiled("-g3")
    before = program.read_bytes()
    (copies / "tree" / program.parent.relative_to("/")).mkdir(parents=True)
    in_tree = Path(copy_path(str(copies / "tree"), str(program)))
    os.link(program, in_tree)

    objects = copier(copies).add(SharedObjects(tree="tree"), str(program))

    assert objects.tree == "tree"
    assert "has no definition" in ask_gdb(in_tree, "info macro ANSWER")
    assert program.read_bytes() == before


def test_the_executable_of_a_container_is_copied_from_its_root(
    compiled: Callable[..., Path], copies: Path, tmp_path: Path
) -> None:
    (tmp_path / "root/usr").mkdir(parents=True)
    compiled("-g3").rename(tmp_path / "root/usr/asterisk")

    assert copier(copies, str(tmp_path / "root")).add(NOTHING, "/usr/asterisk").copied == ("/usr/asterisk",)
    assert (copies / "usr/asterisk").is_file()


def test_without_room_for_the_copy_gdb_reads_the_executable_itself(compiled: Callable[..., Path], copies: Path) -> None:
    def refuse(_: int) -> None:
        raise NoRoom("the disk is full")

    assert copier(copies, check_reserve=refuse).add(NOTHING, str(compiled("-g3"))) is NOTHING
    assert not [path for path in copies.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", [None, "asterisk (deleted)", "/etc/hostname", "/dev/null", "/nonexistent"])
def test_what_is_no_program_is_not_copied(copies: Path, name: str | None) -> None:
    assert copier(copies).add(NOTHING, name) is NOTHING


def test_an_executable_that_gdb_cannot_read_is_not_copied(compiled: Callable[..., Path], copies: Path) -> None:
    program = str(compiled("-g3"))
    unread = SharedObjects(missing=(program,))

    assert copier(copies).add(unread, program) is unread
