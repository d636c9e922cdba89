"""The source of the package as syntax trees, and what each module imports, for the layout tests."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "astbtd"
GDB_SCRIPT = "astbtd.extraction.script"
"""The package that Python inside gdb executes."""


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of each module of the package, by the full name of the module."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        found[module_name(str(path.relative_to(ROOT)))] = ast.parse(path.read_text(), str(path))
    return found


def module_name(path: str) -> str:
    """Return the name of the module in a file; the path is relative to the checkout."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_names(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Yield the full name of each import; `from a import b` yields a.b, which may be a module or an object in one."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports must be absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def all_imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, at the top or inside a function."""
    return _own_modules(imported_names(ast.walk(modules()[module])))


def imports_on_load(module: str) -> set[str]:
    """Return the modules of the package that are imported when a module is loaded."""
    return _own_modules(imported_names(iter(modules()[module].body)))


def external_imports(module: str) -> set[str]:
    """Return the top-level packages that a module imports, without the package itself."""
    return {name.split(".")[0] for name in imported_names(ast.walk(modules()[module]))} - {PACKAGE}


def loaded_with(module: str) -> set[str]:
    """Return all modules of the package that are loaded when a module is imported, itself included."""
    loaded: set[str] = set()
    pending = {module}
    while pending:
        current = pending.pop()
        loaded.add(current)
        pending |= imports_on_load(current) - loaded
    return loaded


def gdb_script_modules() -> set[str]:
    """Return the modules that Python inside gdb executes."""
    return {module for module in modules() if f"{module}.".startswith(f"{GDB_SCRIPT}.")}


def calls(module: str) -> Iterator[ast.Call]:
    """Yield all calls in a module."""
    return (node for node in ast.walk(modules()[module]) if isinstance(node, ast.Call))


def _own_modules(names: Iterator[str]) -> set[str]:
    own = (name for name in names if name.split(".")[0] == PACKAGE)
    return {name if name in modules() else name.rpartition(".")[0] for name in own}
