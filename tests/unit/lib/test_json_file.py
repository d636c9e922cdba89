"""A dataclass in a file: what is read is what was written, or the error says what kind of damage there is."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.lib import json_file

LARGEST = 1000


@dataclass(frozen=True)
class Example:
    """A small state."""

    name: str
    count: int = 0


def test_what_was_written_is_read_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state"
    json_file.replace(path, Example("old", 1))
    json_file.replace(path, Example("new", 2))

    assert json_file.read(path, Example, LARGEST) == Example("new", 2)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["state"]


def test_unknown_fields_are_ignored_and_missing_ones_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "state").write_text('{"name": "x", "later": true}')

    assert json_file.read(tmp_path / "state", Example, LARGEST) == Example("x", 0)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"count": 1}', '{"name": 7}', "[" * 900, '{"name": "' + "x" * 2000]
)
def test_an_invalid_file_is_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "state").write_text(content)

    with pytest.raises(json_file.Damaged, match=str(tmp_path / "state")) as raised:
        json_file.read(tmp_path / "state", Example, LARGEST)

    assert type(raised.value) is json_file.Damaged


def test_a_missing_file_and_one_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()

    with pytest.raises(json_file.Missing):
        json_file.read(tmp_path / "state", Example, LARGEST)
    with pytest.raises(json_file.Unreadable):
        json_file.read(tmp_path / "directory", Example, LARGEST)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_default_takes_the_place_of_what_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "state").write_text(content)

    assert json_file.read_or(tmp_path / "state", Example("none")) == Example("none")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, '{"name": null}'])
def test_an_invalid_document_is_an_error_of_its_value(content: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        json_file.decode(content, Example)


def test_a_document_is_what_was_encoded() -> None:
    assert json_file.decode(json_file.encode(Example("x", 3)), Example) == Example("x", 3)
