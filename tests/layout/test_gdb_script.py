"""The script that runs inside gdb: it is packed with all that it imports, and only old Python syntax is used in it."""

import ast
import io
import zipfile

from astbtd.extraction import script_archive
from tests.support.package_source import all_imports, gdb_script_modules, loaded_with, module_name, modules

OLDEST_PYTHON = (3, 7)
"""The oldest Python that a supported gdb may be built with."""


def packed_sources() -> dict[str, bytes]:
    """Return the source files that gdb gets, by path."""
    with zipfile.ZipFile(io.BytesIO(script_archive.build_archive())) as archive:
        return {path: archive.read(path) for path in archive.namelist() if path.endswith(".py")}


def test_no_other_module_imports_the_script() -> None:
    others = modules().keys() - gdb_script_modules()

    assert {module for module in others if all_imports(module) & gdb_script_modules()} == set()


def test_the_script_is_packed_with_all_that_it_imports() -> None:
    loaded = set().union(*map(loaded_with, gdb_script_modules()))
    packages = {"astbtd", "astbtd.elf", "astbtd.extraction", "astbtd.lib"}

    assert {module_name(path) for path in packed_sources()} == loaded | packages


def test_the_script_has_the_syntax_of_the_oldest_python() -> None:
    for path, source in packed_sources().items():
        ast.parse(source, path, feature_version=OLDEST_PYTHON)
