"""Files for one run of gdb: a sealed file with the script, a directory for copies, paths of descriptors, arguments."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from astbtd.extraction.object_paths import copy_path
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files

_SETTINGS = (
    "set auto-load no",
    "set auto-load safe-path",
    "set auto-load libthread-db on",
    "set libthread-db-search-path $sdir",  # never a library next to the one of the crashed process
    "set debuginfod enabled off",
    "set solib-search-path .",
    "maintenance set worker-threads 0",
)
# gdb makes a relative path absolute, and opens the executable again later: it may not search our directories then. gdb
# 18 does not find where the program was loaded, and names no frame at all.
_WORKING_DIRECTORY = "/proc/self/cwd"


def program_path(program: str, tree: str | None = None) -> str:
    """Return a path by which gdb can open the copy of a program at any time.

    The copy is below `tree`, a directory in gdb's working directory; None if it is in that directory itself.
    """
    return copy_path(f"{_WORKING_DIRECTORY}/{tree or ''}", program)


def descriptor_path(descriptor: int) -> str:
    """Return a path by which gdb opens an inherited descriptor: no directory permissions are needed."""
    return f"/proc/self/fd/{descriptor}"


def with_option(option: str, commands: Sequence[str]) -> list[str]:
    """Return the arguments that make gdb execute these commands, each preceded by `option`."""
    return [word for command in commands for word in (option, command)]


def settings_options(debug_directories: str) -> list[str]:
    """Return the arguments with the settings of every gdb that we run.

    It looks for separate debug files in `debug_directories`, separated by colons; empty for its own default.
    """
    found = [f"set debug-file-directory {debug_directories}"] if debug_directories else []
    return with_option("-iex", (*_SETTINGS, *found))


def sysroot_option(sysroot: str) -> list[str]:
    """Return the arguments that make gdb look for the process's files below `sysroot`."""
    return with_option("-iex", [f"set sysroot {sysroot}"])


@contextmanager
def copies_directory(directory: Path, user: SandboxUser) -> Iterator[Path]:
    """Create the directory for copies of objects, and remove it at the end."""
    files.remove_tree(directory)
    files.make_directory(directory, group=user.gid if user.switched else -1)
    try:
        yield directory
    finally:
        files.remove_tree(directory)


@contextmanager
def anonymous_file() -> Iterator[int]:
    """Yield a descriptor of an empty file without a name, for `fill_file`."""
    descriptor = os.memfd_create("astbtd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def fill_file(descriptor: int, content: bytes) -> None:
    """Write all of an anonymous file, which cannot be changed then."""
    files.write_all(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
