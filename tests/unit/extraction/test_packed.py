"""What runs inside gdb is handed over as an archive that any Python imports, one of our version without compiling."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from astbtd.extraction import packed

_IMPORTING = "import sys; sys.path.insert(0, sys.argv[1]); from astbtd import printable; print(printable.__file__)"


def imported_from(archive: Path) -> str:
    """What the file was that Python imported a module of the archive from."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORTING, archive], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_python_of_our_version_takes_what_is_compiled(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(packed.program())
    assert imported_from(archive).endswith("astbtd/printable.pyc")


@pytest.mark.parametrize("magic", [b"\0\0\r\n", b""])
def test_python_of_another_version_takes_the_source(tmp_path: Path, magic: bytes) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(io.BytesIO(packed.program())) as ours, zipfile.ZipFile(archive, "w") as foreign:
        for name in ours.namelist():
            content = ours.read(name)
            foreign.writestr(name, magic + content[4:] if name.endswith(".pyc") else content)
    assert imported_from(archive).endswith("astbtd/printable.py")
