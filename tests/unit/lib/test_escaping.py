"""What reaches a terminal is harmless."""

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
def test_controls_become_visible(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text(alphabet=st.characters()))
def test_the_result_can_be_written_and_is_not_changed_again(text: str) -> None:
    once = printable(text)

    once.encode()
    assert printable(once) == once


@given(st.text())
def test_a_line_stays_a_line(text: str) -> None:
    assert len(printable_line(text).splitlines()) <= 1
