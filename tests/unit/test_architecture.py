"""The package keeps its shape: arrows point down, rooms do not know each other, dangerous things have one place."""

import ast
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from astbtd.extraction import packed

ROOT = Path(__file__).parents[2]

ROOMS = ("intake", "capture", "extraction", "diagnosis", "archive", "announce")
LAYERS = (  # the highest first; who stands in one may import what stands in it or below
    ("__main__", "cli"),
    (
        "daemon",
        "worker",
        "housekeeping",
        "ledger",
        "assembly",
        "checker",
        "deadlock_watch",
        "hearsay",
        "loops_told",
        "news",
    ),
    ("tidying",),
    ("pipeline", "crash_loops", "examination", "investigation", "readiness"),
    ROOMS,
    (
        "",  # the package itself: its version
        "settings",
        "codec",
        "durable",
        "elf",
        "elf_sections",
        "getters",
        "regular",
        "console",
        "corememory",
        "machine",
        "sparse",
        "processes",
        "own_thread",
        "quantities",
        "printable",
        "clock",
        "timers",
        "wakeup",
        "deadlock",
        "loop",
        "model",
        "basics",
        "errors",
    ),
)

ONLY_PLACES = {  # what one module does for all; the other modules import that one instead
    "subprocess": {"astbtd.processes"},
    "systemd": {"astbtd.announce.systemd"},
    "pyinotify": {"astbtd.intake.inotify"},
    "watchdog": {"astbtd.intake.polling"},
    "zstandard": {"astbtd.archive.keep", "astbtd.intake.compression"},  # what we write, and what others wrote
    "lz4": {"astbtd.intake.compression"},
    "lzma": {"astbtd.intake.compression"},
    "zlib": {"astbtd.intake.compression"},
    "yaml": {"astbtd.settings"},
}
FORBIDDEN = ("multiprocessing", "pty", "pickle", "tempfile", "gdb")
STARTING_PROGRAMS = ("system", "popen", "fork", "forkpty", "execv", "execve", "execvp", "spawnv", "posix_spawn")

WRITERS = {  # who makes, opens for writing, or renames files besides durable, and by what
    "astbtd.archive.keep": {"open", "rename"},  # the compressed stream, in a file that durable made
    "astbtd.archive.store": {
        "rename"
    },  # a staged directory becomes a crash, and a crash what is to be removed, by one rename
    "astbtd.extraction.shown": {"os.symlink"},  # to objects that gdb asks for, where it can make nothing itself
    "astbtd.intake.note": {"os.open"},  # the note of a claim, to lock it
    "astbtd.intake.copies": {"rename"},  # the copy, when its core's identity is known
    "astbtd.intake.names": {"os.link", "os.rename"},  # the claim, in a directory that is not ours
    "astbtd.cli.main": {"os.open"},  # /dev/null, when nobody reads on
}
WRITING_METHODS = ("rename", "write_text", "write_bytes", "touch", "symlink_to", "hardlink_to")
WRITING_CALLS = ("rename", "renames", "replace", "link", "symlink", "mkfifo", "mknod", "truncate")
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC")
INSIDE_GDB = "astbtd.extraction.inside_gdb"
GDBS_OLDEST_PYTHON = (3, 7)


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its name."""
    found = {}
    for path in (ROOT / "astbtd").rglob("*.py"):
        found[module_name(str(path.relative_to(ROOT)))] = ast.parse(path.read_text(), str(path))
    return found


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def packed_for_gdb() -> dict[str, bytes]:
    """The source files that gdb gets, by path."""
    with zipfile.ZipFile(io.BytesIO(packed.program())) as archive:
        return {path: archive.read(path) for path in archive.namelist() if path.endswith(".py")}


def imported_names(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """All that is imported, by full name; of `from a import b`, a.b, which may be a module or a thing in one."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def as_module(name: str) -> str:
    return name if name in modules() else name.rpartition(".")[0]


def imports(module: str) -> set[str]:
    """The modules of the package that `module` imports, wherever in it."""
    return own(imported_names(ast.walk(modules()[module])))


def imports_at_once(module: str) -> set[str]:
    """The modules of the package that come with an import of `module`."""
    return own(imported_names(iter(modules()[module].body)))


def own(names: Iterator[str]) -> set[str]:
    return {as_module(name) for name in names if name.split(".")[0] == "astbtd"}


def foreign(module: str) -> set[str]:
    """The packages of others that `module` imports."""
    return {name.split(".")[0] for name in imported_names(ast.walk(modules()[module]))} - {"astbtd"}


def place(module: str) -> str:
    """The room of a module, or its own name where it stands in none."""
    return (*module.split("."), "")[1]


def layer(module: str) -> int:
    return next(index for index, places in enumerate(LAYERS) if place(module) in places)


def closure(module: str) -> set[str]:
    """All modules of the package that are loaded with `module`."""
    loaded: set[str] = set()
    waiting = {module}
    while waiting:
        one = waiting.pop()
        loaded.add(one)
        waiting |= imports_at_once(one) - loaded
    return loaded


def inside_gdb() -> set[str]:
    """What gdb's own Python executes."""
    return {module for module in modules() if module.startswith(INSIDE_GDB)}


def calls(module: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(modules()[module]) if isinstance(node, ast.Call))


def writing(call: ast.Call) -> str | None:
    """How a call makes, opens for writing, or renames a file; None if it does not."""
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" and opens_for_writing(call, position=1) else None
    if not isinstance(function, ast.Attribute):
        return None
    if isinstance(function.value, ast.Name) and function.value.id == "os":
        flags = function.attr == "open" and any(flag in ast.unparse(call) for flag in WRITING_FLAGS)
        return f"os.{function.attr}" if flags or function.attr in WRITING_CALLS else None
    by_mode = function.attr == "open" and opens_for_writing(call, position=0)
    return function.attr if by_mode or function.attr in WRITING_METHODS else None


def opens_for_writing(call: ast.Call, position: int) -> bool:
    given = [*call.args[position : position + 1], *(each.value for each in call.keywords if each.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in given)


def test_the_package_is_seen_at_all() -> None:
    assert {"astbtd", "astbtd.pipeline", "astbtd.intake.claim", INSIDE_GDB} <= modules().keys()
    assert "astbtd.intake.claim" in imports("astbtd.pipeline")
    assert "astbtd.daemon" in imports("astbtd.cli.run")


def test_every_module_has_its_layer() -> None:
    places = {name for names in LAYERS for name in names}

    assert {module for module in modules() if place(module) not in places} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_arrows_point_down(module: str) -> None:
    assert {other for other in imports(module) if layer(other) < layer(module)} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_do_not_import_each_other(room: str) -> None:
    inside = [module for module in modules() if place(module) == room]
    outside = set(ROOMS) - {room}

    assert {(module, other) for module in inside for other in imports(module) if place(other) in outside} == set()


def test_no_imports_go_in_circles() -> None:
    TopologicalSorter({module: imports(module) - {module} for module in modules()}).prepare()


@pytest.mark.parametrize(("package", "only"), ONLY_PLACES.items())
def test_some_packages_are_imported_in_one_place_only(package: str, only: set[str]) -> None:
    assert {module for module in modules() if package in foreign(module)} == only


@pytest.mark.parametrize("package", FORBIDDEN)
def test_some_packages_are_imported_nowhere(package: str) -> None:
    assert {module for module in modules() if package in foreign(module)} <= inside_gdb()


@pytest.mark.parametrize("module", sorted(modules()))
def test_programs_are_started_through_subprocess_only(module: str) -> None:
    called = {ast.unparse(call.func) for call in calls(module)}

    assert called & {f"os.{name}" for name in STARTING_PROGRAMS} == set()


@pytest.mark.parametrize("module", sorted(modules().keys() - {"astbtd.durable"}))
def test_files_are_written_by_durable_or_for_a_reason(module: str) -> None:
    assert {how for call in calls(module) if (how := writing(call))} == WRITERS.get(module, set())


def test_diagnosis_has_no_way_to_the_outside() -> None:
    inside = [module for module in modules() if place(module) == "diagnosis"]

    outside = {"io", "os", "pathlib.Path", "select", "shutil", "socket", "sys", "threading", "time"}
    names = {(module, name) for module in inside for name in imported_names(ast.walk(modules()[module]))}
    assert {(module, name) for module, name in names if {name, name.split(".")[0]} & outside} == set()


def test_what_runs_inside_gdb_is_imported_by_nobody_else() -> None:
    assert {module for module in modules().keys() - inside_gdb() if imports(module) & inside_gdb()} == set()


def test_what_runs_inside_gdb_is_packed_with_all_that_it_imports() -> None:
    loaded = set().union(*map(closure, inside_gdb()))
    besides = {"astbtd", "astbtd.extraction", "sitecustomize"}

    assert {module_name(path) for path in packed_for_gdb()} == loaded | besides


def test_what_runs_inside_gdb_is_written_for_an_old_python() -> None:
    for path, source in packed_for_gdb().items():
        ast.parse(source, path, feature_version=GDBS_OLDEST_PYTHON)


@pytest.mark.parametrize(
    "verb", ["list", "show", "top", "core", "pin", "prune", "check", "check_config", "diagnose", "extract"]
)
def test_reading_verbs_work_where_systemd_is_missing(verb: str) -> None:
    assert "astbtd.announce.systemd" not in closure(f"astbtd.cli.{verb}")


def test_the_daemon_does_not_load_what_only_the_commands_use() -> None:
    assert {module for module in closure("astbtd.daemon") if place(module) == "cli"} == set()


def test_the_daemon_has_no_code_that_traces() -> None:
    assert "astbtd.capture.ptrace" not in closure("astbtd.daemon")
    assert "astbtd.capture.ptrace" in closure("astbtd.cli.deadlock")


def test_the_daemon_does_not_load_watchdog_until_a_directory_is_polled() -> None:
    assert "astbtd.intake.watch" in closure("astbtd.daemon")
    assert "astbtd.intake.polling" not in closure("astbtd.daemon")


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(modules()[module])


@pytest.mark.parametrize("path", sorted((ROOT / "astbtd").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
