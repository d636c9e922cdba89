"""The lists of function names."""

import pytest

from astbtd.diagnosis.frame_kind import LISTED_KINDS, FrameKind
from astbtd.diagnosis.word_lists import WordList, load_words


@pytest.mark.parametrize("listed", LISTED_KINDS)
def test_every_list_has_names_and_no_name_is_in_two_lists(listed: FrameKind) -> None:
    others = [load_words(other.value).names for other in LISTED_KINDS if other is not listed]

    assert load_words(listed.value).names
    assert not load_words(listed.value).names & frozenset().union(*others)


@pytest.mark.parametrize(
    ("listed", "name", "expected"),
    [
        ("ast_log", "ast_log", True),
        ("ast_log", "ast_logger", False),
        ("ast_log*", "ast_log", True),
        ("ast_log*", "ast_logger", True),
        ("ast_log*", "__ast_log", False),
        ("ast_*_free", "ast_channel_free", True),
        ("ast_*_free", "ast_channel_freed", False),
        ("*", "anything", True),
        ("ast_log", None, False),
    ],
)
def test_a_star_stands_for_any_text(listed: str, name: str | None, expected: bool) -> None:
    assert (name in WordList(frozenset({listed, "other"}))) is expected


@pytest.mark.parametrize(
    ("listed", "text", "expected"),
    [
        ("/usr/include/", "/usr/include/string.h", True),
        ("/usr/include/*bits/", "/usr/include/x86_64-linux-gnu/bits/string.h", True),
        ("/usr/include/*bits/", "/usr/include/string.h", False),
        ("./nptl*", "./nptl/pthread.c", True),
        ("./nptl*", "/build/nptl/pthread.c", False),
    ],
)
def test_a_text_may_start_with_a_listed_name(listed: str, text: str, expected: bool) -> None:
    assert WordList(frozenset({listed, "other"})).matches_start(text) is expected
