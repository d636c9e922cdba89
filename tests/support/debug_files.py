"""Separate the debug information of programs, and install it as a package of debug symbols does."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from astbtd.store.kept_objects import read_build_id

_INSTALLED = Path("/usr/lib/debug/.build-id")


def split_debug_files(installed: Path, debug: Path) -> None:
    """Move the symbols of the programs in `installed` to the directory `debug`, under their build ids.

    The build ids are new ones: other tests install the debug files of the same programs at the same time.
    """
    debug.mkdir()
    for path in _programs(installed):
        _give_new_build_id(path)
        separate = debug / f"{_build_id(path)}.debug"
        subprocess.run(["objcopy", "--only-keep-debug", path, separate], check=True)
        subprocess.run(["strip", "--strip-all", path], check=True)


def install_debug_files(installed: Path, debug: Path) -> None:
    """Install the debug files of the programs in `installed`, which the caller removes."""
    for path in _programs(installed):
        target = debug_file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(debug / f"{_build_id(path)}.debug", target)


def debug_file(path: Path) -> Path:
    """Return the path at which gdb looks for the debug file of a program."""
    build_id = _build_id(path)
    return _INSTALLED / build_id[:2] / f"{build_id[2:]}.debug"


def _programs(installed: Path) -> Iterator[Path]:
    yield installed / "asterisk"
    yield from (installed / "modules").iterdir()


def _give_new_build_id(path: Path) -> None:
    old, content = bytes.fromhex(_build_id(path)), path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, os.urandom(len(old))))


def _build_id(path: Path) -> str:
    with path.open("rb") as file:
        build_id = read_build_id(file.fileno())
    assert build_id
    return build_id
