"""The address of the pre-filled form: its fields, and its length whatever they contain."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.tracker.issue_form import MAX_ADDRESS, Frequency, IssueForm, Severity, search_address

FORM = IssueForm(
    title="[bug]: SIGSEGV in ast_bridge_join",
    severity=Severity.CRITICAL,
    versions="22.10.0",
    components="bridge",
    environment="Debian GNU/Linux 12",
    frequency=Frequency.ONE_TIME,
    description="It crashed.\n\nWhat was it doing?",
    logs="#0  ast_bridge_join at bridge.c:123",
)
TEXTS = ("title", "versions", "components", "environment", "description", "logs")


def read_fields(address: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query, keep_blank_values=True).items()}


def test_the_address_is_that_of_the_form_for_bugs() -> None:
    address = urlsplit(FORM.address())

    assert (address.scheme, address.netloc, address.path) == ("https", "github.com", "/asterisk/asterisk/issues/new")
    assert read_fields(FORM.address())["template"] == "bug-report.yml"


def test_each_field_is_a_parameter() -> None:
    assert read_fields(FORM.address()) == {
        "template": "bug-report.yml",
        "title": "[bug]: SIGSEGV in ast_bridge_join",
        "severity": "Critical",
        "versions": "22.10.0",
        "components": "bridge",
        "environment": "Debian GNU/Linux 12",
        "frequency": "One Time",
        "description": "It crashed.\n\nWhat was it doing?",
        "logs": "#0  ast_bridge_join at bridge.c:123",
    }


@pytest.mark.parametrize("character", ["a", "\n", "&", "é", "漢", "😀", "\x1b", "\udcff", "\u202e"])
@pytest.mark.parametrize("field", TEXTS)
def test_the_address_is_short_with_a_long_field(field: str, character: str) -> None:
    changed: dict[str, Any] = {field: character * 20_000}

    assert len(replace(FORM, **changed).address()) <= MAX_ADDRESS


@given(st.fixed_dictionaries({field: st.text(max_size=400).map(lambda text: text * 40) for field in TEXTS}))
def test_the_address_is_short_whatever_the_fields_contain(texts: dict[str, Any]) -> None:
    address = replace(FORM, **texts).address()

    assert len(address) <= MAX_ADDRESS
    assert address.isascii()


def test_long_logs_are_cut_after_a_line() -> None:
    lines = [f"#{level}  function_{level}" for level in range(2000)]

    logs = read_fields(replace(FORM, logs="\n".join(lines)).address())["logs"].split("\n")

    assert logs[-1] == "..."
    assert logs[:-1] == lines[: len(logs) - 1]
    assert len(logs) > 100


def test_control_characters_are_escaped() -> None:
    assert read_fields(replace(FORM, title="a\x1b[2J").address())["title"] == r"a\x1b[2J"


def test_the_search_is_for_the_exact_words() -> None:
    address = search_address("ast_bridge_join")

    assert read_fields(address) == {"q": 'is:issue "ast_bridge_join"'}
    assert address.startswith("https://github.com/asterisk/asterisk/issues?")


def test_a_search_for_hostile_words_is_one_short_quoted_text() -> None:
    address = search_address('x" repo:other "' + "漢" * 9999)

    assert len(address) < 1000
    assert read_fields(address)["q"].count('"') == 2
