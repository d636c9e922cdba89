"""Pack the script that runs inside gdb into a zip archive in memory, since gdb's user cannot read our files."""

import importlib.util
import io
import marshal
import zipfile
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path

_SCRIPT = "extraction/script"
_IMPORTED = (
    "__init__.py",
    "elf/__init__.py",
    "elf/aarch64_getters.py",
    "elf/getters.py",
    "elf/x86_getters.py",
    "extraction/__init__.py",
    "lib/__init__.py",
    "lib/escaping.py",
)
_UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552: a hash-based pyc that is not compared with its source


@cache
def build_archive() -> bytes:
    """Return a zip archive of the script's modules and of the modules of ours that they import.

    Each module is included as source and compiled. A gdb whose Python has our version uses the compiled one, which
    saves it 20 ms. Python has compiled them when astbtd was installed.
    """
    package = Path(__file__).parents[1]
    script = (f"{_SCRIPT}/{file.name}" for file in (package / _SCRIPT).glob("*.py"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in (*_IMPORTED, *script):
            path = package / name
            source = path.read_bytes()
            archive.writestr(f"astbtd/{name}", source)
            archive.writestr(f"astbtd/{name}c", _compiled(source, name, str(path)))
    return content.getvalue()


def _compiled(source: bytes, name: str, path: str) -> bytes:
    """Return the content of a pyc file for the file `name` of our package, which is at `path`."""
    module = f"astbtd.{name.removesuffix('.py').replace('/', '.')}"
    code = marshal.dumps(SourceFileLoader(module, path).get_code(module))
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source) + code


def start_command(path: str) -> str:
    """Return the gdb command that runs the script in the archive at `path`."""
    start = "from astbtd.extraction.script import write_sections; write_sections.main()"
    return f"python import sys; sys.path.insert(0, {path!r}); {start}"
