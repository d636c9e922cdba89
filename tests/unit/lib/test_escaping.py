"""Escaped text cannot control a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.lib.escaping import printable, printable_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb\x00\x7f", r"a\x0db\x00\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028", r"\u2028"),
        ("\udc9b", r"\x9b"),
        ("grüße ☎", "grüße ☎"),
    ],
)
def test_control_characters_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text(alphabet=st.characters()))
def test_escaped_text_can_be_encoded_and_is_not_escaped_again(text: str) -> None:
    once = printable(text)

    once.encode()
    assert printable(once) == once


@given(st.text())
def test_an_escaped_line_has_no_newline(text: str) -> None:
    assert len(printable_line(text).splitlines()) <= 1
