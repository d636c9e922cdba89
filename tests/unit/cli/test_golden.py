"""The JSON of the commands on a store that the previous version created: the same keys and values as it printed.

tests/data/store-schema-1 holds the store, and in `expected` what the previous version printed. The store has a usable
backtrace, a double free, an aborted deadlock, a truncated core, a pinned crash, a removed core, removed texts, a lost
core, a capture, and problems for fsck. The kept cores are replaced by small files.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from astbtd.pipeline.configured_extractor import reader_group
from tests.support.cli_types import Run

DATA = Path(__file__).parents[2] / "data/store-schema-1"
COMMANDS = {
    "list": ["list"],
    "list-deadlocks": ["list", "--deadlocks"],
    "top": ["top", "--since", "2020-01-01T00:00:00Z", "--until", "2031-01-01T00:00:00Z"],
    "prune": ["prune", "--dry-run"],
    "fsck": ["fsck", "--dry-run"],
}
PROSE = {"advice", "notes", "problem", "reason", "reasons", "remedy", "summary"}
"""Fields with sentences for people. Their wording may change."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the store, with the owner, group, modes and link that git and source archives do not keep."""
    store = tmp_path / "store"
    shutil.copytree(DATA / "store", store)
    newest = max(entry.name for entry in (store / "crashes").iterdir())
    (store / "latest").symlink_to(f"crashes/{newest}")
    (store / "incoming").mkdir()
    group = reader_group()
    for path in (store, *store.rglob("*")):
        if path.is_symlink():
            continue
        os.chown(path, -1, group)
        path.chmod(0o750 if path.is_dir() else 0o640)
    for path in store.rglob("core.zst"):
        path.chmod(0o600)
    (store / "incoming").chmod(0o700)
    return store


@pytest.fixture
def configuration(tmp_path: Path, store: Path) -> Path:
    """The configuration that the previous version was given. Its limits do not depend on the time."""
    configuration = tmp_path / "astbtd.yaml"
    configuration.write_text((DATA / "astbtd.yaml").read_text().replace("STORE", str(store)))
    configuration.chmod(0o644)
    return configuration


def without_prose(value: Any) -> Any:
    """Return a JSON value with the content of all prose fields removed. Their keys stay."""
    if isinstance(value, dict):
        return {key: "prose" if key in PROSE else without_prose(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_prose(item) for item in value]
    return value


def command(name: str) -> list[str]:
    """Return the command whose output is in the file `name`.json."""
    return COMMANDS[name] if name in COMMANDS else ["show", name.removeprefix("show-")]


@pytest.mark.parametrize("name", sorted(path.stem for path in (DATA / "expected").glob("*.json")))
def test_the_json_has_the_keys_and_values_of_the_previous_version(astbtd: Run, store: Path, name: str) -> None:
    expected = json.loads((DATA / "expected" / f"{name}.json").read_text())

    printed = json.loads(astbtd(*command(name), "--json").out.replace(str(store), "STORE"))

    assert_contains(without_prose(printed), without_prose(expected))


def assert_contains(printed: Any, expected: Any) -> None:
    """Compare two JSON values. An object may have gained keys, but not lost or changed any."""
    if isinstance(expected, dict):
        assert printed.keys() >= expected.keys()
        for key, value in expected.items():
            assert_contains(printed[key], value)
    elif isinstance(expected, list):
        assert len(printed) == len(expected)
        for printed_item, expected_item in zip(printed, expected, strict=True):
            assert_contains(printed_item, expected_item)
    else:
        assert printed == expected


def test_every_command_has_an_expected_output() -> None:
    assert {f"{name}.json" for name in COMMANDS} <= {path.name for path in (DATA / "expected").iterdir()}
