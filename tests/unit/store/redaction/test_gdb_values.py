"""Strings in all forms that gdb prints, with the fields that they belong to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.store.redaction.gdb_values import read_values
from astbtd.store.redaction.printed_strings import PrintedString


def strings(text: str) -> list[tuple[str, str]]:
    """Return the field and the content of each string."""
    return [(each.field, each.content) for each in read_values(text) if isinstance(each, PrintedString)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a = "x\\r\\ny"', [("a", "x\r\ny")]),
        ('a = "\\303\\274\\000"', [("a", "\xc3\xbc\0")]),
        ('a = 0x7f "x", b = L"y"...', [("a", "x"), ("b", "y")]),
        ('a = "xy", \'z\' <repeats 3 times>, "w"', [("a", "xyzzzw")]),
        ("a = {112 'p', 97 'a'}", [("", "pa")]),
        ("a = {112 'p'}, b = 0x1 \"q\"", [("", "p"), ("b", "q")]),
        ('f (a=a@entry=0x1 "x", b=5)', [("a", "x")]),
        ('a = "cut off\nb = "x"', [("a", "cut off"), ("b", "x")]),
        ('a = "one"\n    "two"', [("a", "onetwo")]),
        ('a = {"one", "two"}', [("", "one"), ("", "two")]),
        ('{"key": "x"}', [("key", "x")]),
        ("the caller's name isn't \"x\"", [("", "x")]),
    ],
)
def test_the_content_of_a_string_is_what_was_in_memory(text: str, expected: list[tuple[str, str]]) -> None:
    assert strings(text) == expected


def test_a_repetition_of_exabytes_is_not_carried_out() -> None:
    [(_, content)] = strings("a = 'x' <repeats 4294967295 times>")

    assert set(content) == {"x"}
    assert len(content) < 1000


def test_a_string_belongs_to_the_structure_around_it() -> None:
    [string] = read_values('password = {ptr = 0x1 "x"}')

    assert isinstance(string, PrintedString)
    assert string.group.names == ("password",)


@given(st.text(alphabet="ab\"'\\,{}()=\n# 07<>rn:"))
def test_each_part_of_a_content_is_located_in_the_text(text: str) -> None:
    for string in read_values(text):
        if isinstance(string, PrintedString) and string.content:
            start, end, _, _ = string.locate(0, len(string.content))
            assert string.start <= start < end <= string.end
