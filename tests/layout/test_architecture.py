"""The package keeps its shape: arrows point down, rooms do not know each other, dangerous things have one place."""

import ast
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from astbtd.extraction import script_archive

ROOT = Path(__file__).parents[2]

LAYERS = (  # the highest first; a module may import from its own package and from lower layers
    ("__main__",),
    ("cli",),
    ("daemon",),
    ("pipeline",),
    ("readiness", "watch"),
    ("claims",),
    ("announce", "capture", "diagnosis", "extraction", "sources", "store"),
    ("asterisk", "backtrace", "elf", "settings"),
    ("lib",),
    ("", "errors", "model"),  # the package itself holds the version
)

ONLY_PLACES = {  # what one module does for all; the other modules import that one instead
    "subprocess": {"astbtd.lib.subprocesses"},
    "systemd": {"astbtd.announce.systemd"},
    "pyinotify": {"astbtd.watch.inotify"},
    "watchdog": {"astbtd.watch.polling"},
    "zstandard": {"astbtd.store.core_archive", "astbtd.sources.decompression"},  # what we write, and what others wrote
    "lz4": {"astbtd.sources.decompression"},
    "lzma": {"astbtd.sources.decompression"},
    "zlib": {"astbtd.sources.decompression"},
    "yaml": {"astbtd.settings"},
}
FORBIDDEN = ("multiprocessing", "pty", "pickle", "tempfile", "gdb")
STARTING_PROGRAMS = ("system", "popen", "fork", "forkpty", "execv", "execve", "execvp", "spawnv", "posix_spawn")

WRITERS = {  # who makes, opens for writing, or renames files besides durable, and by what
    "astbtd.store.core_archive": {"open", "rename"},  # the compressed stream, in a file that durable made
    "astbtd.store.store": {
        "rename"
    },  # a staged directory becomes a crash, and a crash what is to be removed, by one rename
    "astbtd.extraction.object_server": {"os.symlink"},  # to objects that gdb asks for, where it can make nothing itself
    "astbtd.claims.claim_file": {"os.open"},  # the note of a claim, to lock it
    "astbtd.claims.private_copy": {"rename"},  # the copy, when its core's identity is known
    "astbtd.claims.hard_links": {"os.link", "os.rename"},  # the claim, in a directory that is not ours
    "astbtd.cli.main": {"os.open"},  # /dev/null, when nobody reads on
}
WRITING_METHODS = ("rename", "write_text", "write_bytes", "touch", "symlink_to", "hardlink_to")
WRITING_CALLS = ("rename", "renames", "replace", "link", "symlink", "mkfifo", "mknod", "truncate")
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC")
GDB_SCRIPT = "astbtd.extraction.script"
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
    with zipfile.ZipFile(io.BytesIO(script_archive.program())) as archive:
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


def gdb_script() -> set[str]:
    """What gdb's own Python executes."""
    return {module for module in modules() if f"{module}.".startswith(f"{GDB_SCRIPT}.")}


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
    assert {"astbtd", "astbtd.pipeline.crash_pipeline", "astbtd.claims.claim", GDB_SCRIPT} <= modules().keys()
    assert "astbtd.claims.claim" in imports("astbtd.pipeline.crash_pipeline")
    assert "astbtd.daemon.main_loop" in imports("astbtd.cli.commands.run")


def test_every_module_has_its_layer() -> None:
    places = {name for names in LAYERS for name in names}

    assert {module for module in modules() if place(module) not in places} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_arrows_point_down(module: str) -> None:
    assert {other for other in imports(module) if layer(other) < layer(module)} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_packages_of_one_layer_do_not_import_each_other(module: str) -> None:
    beside = set(LAYERS[layer(module)]) - {place(module)}

    assert {other for other in imports(module) if place(other) in beside} == set()


def test_no_imports_go_in_circles() -> None:
    TopologicalSorter({module: imports(module) - {module} for module in modules()}).prepare()


@pytest.mark.parametrize(("package", "only"), ONLY_PLACES.items())
def test_some_packages_are_imported_in_one_place_only(package: str, only: set[str]) -> None:
    assert {module for module in modules() if package in foreign(module)} == only


@pytest.mark.parametrize("package", FORBIDDEN)
def test_some_packages_are_imported_nowhere(package: str) -> None:
    assert {module for module in modules() if package in foreign(module)} <= gdb_script()


@pytest.mark.parametrize("module", sorted(modules()))
def test_programs_are_started_through_subprocess_only(module: str) -> None:
    called = {ast.unparse(call.func) for call in calls(module)}

    assert called & {f"os.{name}" for name in STARTING_PROGRAMS} == set()


@pytest.mark.parametrize("module", sorted(modules().keys() - {"astbtd.lib.files"}))
def test_files_are_written_by_durable_or_for_a_reason(module: str) -> None:
    assert {how for call in calls(module) if (how := writing(call))} == WRITERS.get(module, set())


def test_diagnosis_has_no_way_to_the_outside() -> None:
    inside = [module for module in modules() if place(module) == "diagnosis"]

    outside = {"io", "os", "pathlib.Path", "select", "shutil", "socket", "sys", "threading", "time"}
    names = {(module, name) for module in inside for name in imported_names(ast.walk(modules()[module]))}
    assert {(module, name) for module, name in names if {name, name.split(".")[0]} & outside} == set()


def test_what_runs_inside_gdb_is_imported_by_nobody_else() -> None:
    assert {module for module in modules().keys() - gdb_script() if imports(module) & gdb_script()} == set()


def test_what_runs_inside_gdb_is_packed_with_all_that_it_imports() -> None:
    loaded = set().union(*map(closure, gdb_script()))
    besides = {"astbtd", "astbtd.elf", "astbtd.extraction", "astbtd.lib", "sitecustomize"}

    assert {module_name(path) for path in packed_for_gdb()} == loaded | besides


def test_what_runs_inside_gdb_is_written_for_an_old_python() -> None:
    for path, source in packed_for_gdb().items():
        ast.parse(source, path, feature_version=GDBS_OLDEST_PYTHON)


@pytest.mark.parametrize(
    "verb", ["list", "show", "top", "core", "pin", "prune", "check", "check_config", "diagnose", "extract"]
)
def test_reading_verbs_work_where_systemd_is_missing(verb: str) -> None:
    assert "astbtd.announce.systemd" not in closure(f"astbtd.cli.commands.{verb}")


def test_the_daemon_does_not_load_what_only_the_commands_use() -> None:
    assert {module for module in closure("astbtd.daemon.main_loop") if place(module) == "cli"} == set()


def test_the_daemon_has_no_code_that_traces() -> None:
    assert "astbtd.capture.ptrace" not in closure("astbtd.daemon.main_loop")
    assert "astbtd.capture.ptrace" in closure("astbtd.cli.commands.deadlock")


def test_the_daemon_does_not_load_watchdog_until_a_directory_is_polled() -> None:
    assert "astbtd.watch.directory_watch" in closure("astbtd.daemon.main_loop")
    assert "astbtd.watch.polling" not in closure("astbtd.daemon.main_loop")


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(modules()[module])


@pytest.mark.parametrize("path", sorted((ROOT / "astbtd").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
