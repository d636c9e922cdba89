"""The journal catalog explains each event: what happened, and what to do."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from astbtd.announce.journal import Event
from astbtd.cli.main import VERBS

ROOT = Path(__file__).parents[2]
FIELDS = (ROOT / "README.md").read_text()


@dataclass(frozen=True)
class CatalogEntry:
    """One entry of a catalog file, as systemd's "Journal Message Catalogs" describes it."""

    headers: dict[str, str]
    text: str


@cache
def catalog() -> dict[str, CatalogEntry]:
    """Return the entries by message id."""
    source = (ROOT / "packaging/systemd/astbtd.catalog").read_text()
    found = re.split(r"^-- ([0-9a-f]{32})\n", source, flags=re.MULTILINE)[1:]
    return {number: parse_entry(text) for number, text in zip(found[::2], found[1::2], strict=True)}


def parse_entry(source: str) -> CatalogEntry:
    headers, _, text = source.partition("\n\n")
    return CatalogEntry(dict(line.split(": ", 1) for line in headers.splitlines()), text)


def test_there_is_one_entry_for_each_event() -> None:
    assert catalog().keys() == {event.value for event in Event}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_an_entry_has_a_subject_and_an_explanation(event: Event) -> None:
    explained = catalog()[event.value]

    assert explained.headers.keys() == {"Subject", "Defined-By", "Documentation"}
    assert explained.headers["Defined-By"] == "astbtd"
    assert explained.text.strip()


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_an_entry_names_a_command_to_run(event: Event) -> None:
    assert re.search(rf"astbtd ({'|'.join(VERBS)})\b", catalog()[event.value].text)


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_an_entry_uses_only_documented_journal_fields(event: Event) -> None:
    explained = catalog()[event.value]
    used = re.findall(r"@(\w+)@", explained.headers["Subject"] + explained.text)

    assert [field for field in used if f"`{field}`" not in FIELDS] == []


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_the_manual_lists_the_id_of_each_event(event: Event) -> None:
    assert f"\n{event.value}  " in (ROOT / "man/astbtd.8").read_text()
