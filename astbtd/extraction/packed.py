"""Packs what runs inside gdb as an archive to import from: gdb's user could not walk to any file of ours."""

import io
import zipfile
from importlib import resources

_INSIDE = "extraction/inside_gdb"
_IMPORTED = ("__init__.py", "extraction/__init__.py", "getters.py", "printable.py")


def program() -> bytes:
    """A zip archive of the modules that run inside gdb and those of ours that they import, by their own names."""
    package = resources.files("astbtd")
    inside = (f"{_INSIDE}/{file.name}" for file in package.joinpath(_INSIDE).iterdir() if file.name.endswith(".py"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in (*_IMPORTED, *inside):
            archive.writestr(f"astbtd/{name}", package.joinpath(name).read_bytes())
    return content.getvalue()


def command(path: str) -> str:
    """The command of gdb's that runs the program in the archive at `path`."""
    start = "from astbtd.extraction.inside_gdb import main; main.main()"
    return f"python import sys; sys.path.insert(0, {path!r}); {start}"
