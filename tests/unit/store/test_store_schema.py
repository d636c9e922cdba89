"""A store that a newer version has used is refused, and is not changed by that."""

from pathlib import Path

import pytest

from astbtd.errors import AstbtdError
from astbtd.model.crash import SCHEMA
from astbtd.store.store import Store


def schema_file(root: Path, text: str) -> Path:
    root.mkdir()
    file = root / "schema"
    file.write_text(text)
    return file


def test_a_store_records_the_schema_of_its_records(tmp_path: Path) -> None:
    Store(tmp_path / "store").prepare()

    assert (tmp_path / "store/schema").read_text() == f"{SCHEMA}\n"


def test_a_store_of_a_newer_version_is_refused_and_not_changed(tmp_path: Path) -> None:
    file = schema_file(tmp_path / "store", f"{SCHEMA + 1}\n")

    with pytest.raises(AstbtdError, match=f"written by a newer version of astbtd .schema {SCHEMA + 1}"):
        Store(tmp_path / "store").prepare()

    assert list(file.parent.iterdir()) == [file]
    assert file.read_text() == f"{SCHEMA + 1}\n"


def test_a_store_of_an_older_version_is_used_and_marked(tmp_path: Path) -> None:
    file = schema_file(tmp_path / "store", f"{SCHEMA - 1}\n")

    Store(tmp_path / "store").prepare()

    assert file.read_text() == f"{SCHEMA}\n"


@pytest.mark.parametrize("text", ["", "no number\n", "\xff\n"])
def test_a_damaged_file_does_not_make_the_store_unusable(tmp_path: Path, text: str) -> None:
    file = schema_file(tmp_path / "store", text)

    Store(tmp_path / "store").prepare()

    assert file.read_text() == f"{SCHEMA}\n"
