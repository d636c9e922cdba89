"""Operations that can do harm are in one module each: starting programs, writing files, systemd, decompression."""

import ast

import pytest

from tests.support.package_source import calls, external_imports, gdb_script_modules, imported_names, modules

# Packages that only these modules import; other modules use these.
ONLY_PLACES = {
    "subprocess": {"astbtd.lib.subprocesses"},
    "systemd": {"astbtd.announce.systemd"},
    "seccomp": {"astbtd.extraction.system_call_filter"},
    "pyseccomp": {"astbtd.extraction.system_call_filter"},  # where the distribution's python3-seccomp is missing
    "pyinotify": {"astbtd.watch.inotify"},
    "watchdog": {"astbtd.watch.polling"},
    "zstandard": {"astbtd.store.core_archive", "astbtd.lib.decompression"},  # for writing, and for reading
    "lz4": {"astbtd.lib.decompression"},
    "lzma": {"astbtd.lib.decompression"},
    "zlib": {"astbtd.lib.decompression"},
    "jinja2": {"astbtd.html.template"},
    "yaml": {"astbtd.lib.local_settings"},
}
FORBIDDEN = ("multiprocessing", "pty", "pickle", "tempfile", "gdb")
STARTING_PROGRAMS = ("system", "popen", "fork", "forkpty", "execv", "execve", "execvp", "spawnv", "posix_spawn")

# Modules other than lib.files that create, rename or open files for writing, by which functions, and why.
WRITERS = {
    "astbtd.store.core_archive": {"open", "rename"},  # the compressed stream, in a file that lib.files created
    "astbtd.store.store": {"rename"},  # one rename commits a staged crash, and one removes a crash
    "astbtd.extraction.macro_free_copy": {"rename"},  # the copy replaces a link, in a directory of ours
    "astbtd.extraction.object_server": {"os.link", "os.symlink"},  # to objects that gdb requests
    "astbtd.claims.claim_file": {"os.open"},  # the claim file, to lock it
    "astbtd.claims.private_copy": {"rename"},  # the copy, once the identity of its core is known
    "astbtd.claims.hard_links": {"os.link", "os.rename"},  # the claim, in a directory of Asterisk
    "astbtd.extraction.shared_objects": {"os.link", "os.symlink"},  # what gdb reads, in a directory of ours
    "astbtd.lib.path_walk": {"os.open", "os.rename"},  # files in a directory that a user named
    "astbtd.lib.subprocesses": {"write_text"},  # a child's file in /proc
    "astbtd.cli.main": {"os.open"},  # /dev/null, once the reader of a pipe has ended
}
WRITING_METHODS = ("rename", "write_text", "write_bytes", "touch", "symlink_to", "hardlink_to")
WRITING_CALLS = ("rename", "renames", "replace", "link", "symlink", "mkfifo", "mknod", "truncate")
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC")


def writes_by(call: ast.Call) -> str | None:
    """Return how a call creates, renames or opens a file for writing; None if it does not."""
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" and opens_for_writing(call, position=1) else None
    if not isinstance(function, ast.Attribute):
        return None
    if isinstance(function.value, ast.Name) and function.value.id == "os":
        by_flags = function.attr == "open" and any(flag in ast.unparse(call) for flag in WRITING_FLAGS)
        return f"os.{function.attr}" if by_flags or function.attr in WRITING_CALLS else None
    by_mode = function.attr == "open" and opens_for_writing(call, position=0)
    return function.attr if by_mode or function.attr in WRITING_METHODS else None


def opens_for_writing(call: ast.Call, position: int) -> bool:
    """Return whether the argument `mode`, at this position or by name, is one for writing."""
    modes = [*call.args[position : position + 1], *(each.value for each in call.keywords if each.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in modes)


@pytest.mark.parametrize(("package", "only"), ONLY_PLACES.items())
def test_some_packages_are_imported_in_one_place_only(package: str, only: set[str]) -> None:
    assert {module for module in modules() if package in external_imports(module)} == only


@pytest.mark.parametrize("package", FORBIDDEN)
def test_some_packages_are_not_imported(package: str) -> None:
    assert {module for module in modules() if package in external_imports(module)} <= gdb_script_modules()


@pytest.mark.parametrize("module", sorted(modules()))
def test_programs_are_started_through_subprocess_only(module: str) -> None:
    called = {ast.unparse(call.func) for call in calls(module)}

    assert called & {f"os.{name}" for name in STARTING_PROGRAMS} == set()


@pytest.mark.parametrize("module", sorted(modules().keys() - {"astbtd.lib.files"}))
def test_files_are_written_by_one_module_except_for_a_reason(module: str) -> None:
    assert {how for call in calls(module) if (how := writes_by(call))} == WRITERS.get(module, set())


def test_the_diagnosis_reads_no_file_and_starts_nothing() -> None:
    pure = [module for module in modules() if module.startswith(("astbtd.diagnosis", "astbtd.backtrace"))]

    forbidden = {"io", "os", "pathlib.Path", "select", "shutil", "socket", "sys", "threading", "time"}
    names = {(module, name) for module in pure for name in imported_names(ast.walk(modules()[module]))}
    assert {(module, name) for module, name in names if {name, name.split(".")[0]} & forbidden} == set()
