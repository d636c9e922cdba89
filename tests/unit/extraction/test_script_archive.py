"""The script for gdb is an archive that any Python can import, and one of our version without compiling."""

import io
import shutil
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
    archive.write_bytes(script_archive.build_archive())
    return archive


def imported_from(archive: Path) -> str:
    """Return the file that Python imported a module of the archive from."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORTING, archive], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_python_of_our_version_uses_the_compiled_modules(archive: Path) -> None:
    assert imported_from(archive).endswith("astbtd/lib/escaping.pyc")


@pytest.mark.parametrize("magic", [b"\0\0\r\n", b""])
def test_python_of_another_version_uses_the_sources(tmp_path: Path, magic: bytes) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(io.BytesIO(script_archive.build_archive())) as ours, zipfile.ZipFile(archive, "w") as foreign:
        for name in ours.namelist():
            content = ours.read(name)
            foreign.writestr(name, magic + content[4:] if name.endswith(".pyc") else content)
    assert imported_from(archive).endswith("astbtd/lib/escaping.py")


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_gdb_imports_from_the_archive(archive: Path) -> None:
    start, _, _ = script_archive.start_command(str(archive)).partition("from ")
    command = f"{start}from astbtd.lib import escaping; print(escaping.__file__)"

    done = subprocess.run(["gdb", "-nx", "--batch", "-ex", command], check=True, capture_output=True, text=True)

    assert done.stdout.startswith(f"{archive}/astbtd/lib/escaping.py")
