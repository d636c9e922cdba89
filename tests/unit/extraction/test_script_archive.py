"""What runs inside gdb is handed over as an archive that any Python imports, one of our version without compiling.

What gdb finds in it first spares it those modules of its own that nobody needs who is not there.
"""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from astbtd.extraction import script_archive

_IMPORTING = "import sys; sys.path.insert(0, sys.argv[1]); from astbtd.lib import escaping; print(escaping.__file__)"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(script_archive.program())
    return archive


def imported_from(archive: Path) -> str:
    """What the file was that Python imported a module of the archive from."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORTING, archive], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_python_of_our_version_takes_what_is_compiled(archive: Path) -> None:
    assert imported_from(archive).endswith("astbtd/lib/escaping.pyc")


@pytest.mark.parametrize("magic", [b"\0\0\r\n", b""])
def test_python_of_another_version_takes_the_source(tmp_path: Path, magic: bytes) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(io.BytesIO(script_archive.program())) as ours, zipfile.ZipFile(archive, "w") as foreign:
        for name in ours.namelist():
            content = ours.read(name)
            foreign.writestr(name, magic + content[4:] if name.endswith(".pyc") else content)
    assert imported_from(archive).endswith("astbtd/lib/escaping.py")


def said_by_gdb(command: str, archive: Path | None) -> str:
    """What gdb prints of a command, with the archive where Python looks first or without it."""
    environment = {**os.environ, **({"PYTHONPATH": str(archive)} if archive else {})}
    done = subprocess.run(
        ["gdb", "-nx", "--batch", "-ex", command], check=False, capture_output=True, text=True, env=environment
    )
    return done.stdout + done.stderr


def test_gdb_does_without_the_commands_that_people_type(archive: Path) -> None:
    assert said_by_gdb("help explore", None).startswith("Explore a value")
    assert said_by_gdb("help explore", archive).startswith('Undefined command: "explore"')


def test_gdb_has_all_else_of_its_python(archive: Path) -> None:
    says = said_by_gdb("python import gdb.frames, gdb.types; print(gdb.parse_and_eval('6 * 7'))", archive)

    assert says == "42\n"
