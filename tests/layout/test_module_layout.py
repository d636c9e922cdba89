"""Where modules are and what they look like: packages, names, docstrings, lengths, and a test file for each."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.support.package_source import ROOT, modules

TESTS = ROOT / "tests"
TOP_LEVEL_MODULES = {"__init__.py", "__main__.py", "errors.py", "settings.py"}
LONGEST_MODULE = 300
SHORTEST_MODULE = 40

# Modules with fewer lines than SHORTEST_MODULE, and why each is a module of its own.
SHORT_MODULES = {
    "cli/stderr_log.py": "for the verbs that units run, the daemon's among them",
    "cli/repeated_step.py": "for the verbs that units run, which do not import each other",
    "__main__.py": "the entry point of `python -m astbtd`",
    "diagnosis/qualified_name.py": "for the headline and the signature, which do not import each other",
    "diagnosis/frame_folding.py": "one rule of the report, of use to any list of frames",
    "model/crash_loop.py": "no part of a record; announce and pipeline share it",
    "sources/collectors/registry.py": "imports the collectors, which import collector.py",
    "cli/commands/pin.py": "each verb has its module; this one has two",
    "lib/exchange.py": "one function of the C library that Python does not have",
    "lib/scheduling.py": "one setting of a thread, for the daemon and for commands",
    "lib/system_calls.py": "for modules that need calls which the C library does not have either",
    "elf/getters.py": "chooses among the modules for each machine, and is packed for gdb with them",
    "lib/escaping.py": "packed for gdb, which must not get more than it needs",
    "diagnosis/finding.py": "the type that the modules of rules return, and verdict.py collects",
}

# Unit test files that are not named after a module, and why.
TESTS_OF_SEVERAL_MODULES = {
    "cli/test_golden.py": "the JSON of the commands on a store of the previous version",
    "diagnosis/test_properties.py": "the diagnosis, with generated texts",
    "diagnosis/test_wrappings.py": "the diagnosis of texts as logs, trackers and terminals wrap them",
}

# Words of the former, private vocabulary: they must not come back as names of modules or classes.
OLD_MODULES = """
assembly basics checker copies corememory corefile deadlock_watch durable examination hearsay housekeeping
investigation ledger leftovers lookout loop loops_told loss machine news outpost own_thread packed packing
places post printable regular remembered seen sight sparing spot standstill thinning tidying unfinished
varying waits_told waiting words
"""
OLD_CLASSES = """
News Ledger Parts Work Lookout Post Outpost Sight Spot Search Remembered Unfinished Held Move Happened Made
Written Testimony Implausible Loss Beginning Copies Known Sparing Nothing Unheard Found Ended What Holding
Stock Upkeep Outline Tally Parked GivingUp Examined Case HeapSaid Asserted Signalled Selected StackBegins
Awaited Waiting Sighting Conclusion Standstill Extent Piece Account Shown WouldDiffer Wording Viewer Manager
Problem SteadyClock
"""


def source_files(directory: Path) -> list[Path]:
    """Return all Python files below a directory, relative to it."""
    return sorted(path.relative_to(directory) for path in directory.rglob("*.py"))


def line_count(path: Path) -> int:
    return len((ROOT / "astbtd" / path).read_text().splitlines())


def module_tested_by(test_file: Path) -> Path:
    """Return the module that a unit test file is named after; both paths are relative."""
    return test_file.with_name(test_file.name.removeprefix("test_"))


def test_the_package_contains_packages_and_few_modules() -> None:
    assert {path.name for path in (ROOT / "astbtd").glob("*.py")} == TOP_LEVEL_MODULES


def test_no_two_modules_have_the_same_name() -> None:
    counted = Counter(path.name for path in source_files(ROOT / "astbtd") if path.name != "__init__.py")

    assert [name for name, count in counted.items() if count > 1] == []


def test_only_listed_modules_are_short() -> None:
    files = [path for path in source_files(ROOT / "astbtd") if path.name != "__init__.py"]

    assert {str(path) for path in files if line_count(path) < SHORTEST_MODULE} == SHORT_MODULES.keys()


@pytest.mark.parametrize("path", source_files(ROOT / "astbtd"), ids=str)
def test_no_module_is_long(path: Path) -> None:
    assert line_count(path) <= LONGEST_MODULE


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_module_has_a_docstring(module: str) -> None:
    assert ast.get_docstring(modules()[module])


def test_no_module_or_class_has_an_old_name() -> None:
    module_names = {module.rpartition(".")[2] for module in modules()}
    classes = {node.name for tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}

    assert module_names & set(OLD_MODULES.split()) == set()
    assert classes & set(OLD_CLASSES.split()) == set()


def test_unit_tests_are_named_after_the_module_that_they_test() -> None:
    test_files = [path for path in source_files(TESTS / "unit") if path.name.startswith("test_")]
    without_module = {str(path) for path in test_files if not (ROOT / "astbtd" / module_tested_by(path)).is_file()}

    assert without_module == TESTS_OF_SEVERAL_MODULES.keys()


@pytest.mark.parametrize("path", source_files(TESTS), ids=str)
def test_no_test_module_or_conftest_is_imported(path: Path) -> None:
    imported = {
        node.module
        for node in ast.walk(ast.parse((TESTS / path).read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }

    assert {module for module in imported if module.rpartition(".")[2].startswith(("test_", "conftest"))} == set()
