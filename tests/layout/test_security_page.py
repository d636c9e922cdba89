"""docs/security.md names a test for each threat, and every test that it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text()
CLASSES = 22
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")
ROWS = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*\|$", PAGE, re.MULTILINE)}


@cache
def functions(file: str) -> set[str]:
    """The tests in a file, named from the directory of the tests, or of those with the attacks."""
    place = TESTS / "integration" if file.startswith("attacks/") else TESTS
    return {node.name for node in ast.walk(ast.parse((place / file).read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_class_of_attack_has_its_row() -> None:
    assert list(ROWS) == sorted(ROWS)
    assert set(range(1, CLASSES + 1)) <= set(ROWS)


@pytest.mark.parametrize("number", ROWS)
def test_every_row_says_threat_cases_defence_and_test(number: int) -> None:
    _, _, *cells, _ = (cell.strip() for cell in ROWS[number].split("|"))

    assert len(cells) == 4
    assert all(cells)
    assert NAMED.search(cells[-1])


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED.findall(PAGE))))
def test_every_test_that_is_named_exists(file: str, test: str) -> None:
    assert test in functions(file)


def test_every_attack_is_on_the_page() -> None:
    named = {test for _, test in NAMED.findall(PAGE)}
    tried = {
        test
        for path in (TESTS / "integration" / "attacks").glob("test_*.py")
        for test in functions(f"attacks/{path.name}")
        if test.startswith("test_")
    }
    assert tried - named == set()
