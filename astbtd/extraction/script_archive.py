"""Packs what runs inside gdb as an archive to import from: gdb's user could not walk to any file of ours."""

import importlib.util
import io
import marshal
import zipfile
from functools import cache
from importlib import resources

_INSIDE = "extraction/script"
_IMPORTED = (
    "__init__.py",
    "elf/__init__.py",
    "elf/x86_getters.py",
    "extraction/__init__.py",
    "lib/__init__.py",
    "lib/escaping.py",
)
_FIRST = {"sitecustomize.py": b"import astbtd.extraction.script.sitecustomize_stub\n"}
_UNCHECKED = (1).to_bytes(4, "little")  # PEP 552: the file says nothing of its source's time


@cache
def program() -> bytes:
    """A zip archive of the modules that run inside gdb and those of ours that they import, by their own names.

    Each is there compiled as well, which saves gdb that, where its Python is of our version. Where Python looks into
    the archive before it starts (PYTHONPATH), it runs the module `sparing` first of all.
    """
    package = resources.files("astbtd")
    inside = (f"{_INSIDE}/{file.name}" for file in package.joinpath(_INSIDE).iterdir() if file.name.endswith(".py"))
    modules = {f"astbtd/{name}": package.joinpath(name).read_bytes() for name in (*_IMPORTED, *inside)}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, source in {**modules, **_FIRST}.items():
            archive.writestr(name, source)
            archive.writestr(f"{name}c", _compiled(source, name))
    return content.getvalue()


def _compiled(source: bytes, name: str) -> bytes:
    code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source) + code


def command(path: str) -> str:
    """The command of gdb's that runs the program in the archive at `path`."""
    start = "from astbtd.extraction.script import write_sections; write_sections.main()"
    return f"python import sys; sys.path.insert(0, {path!r}); {start}"
