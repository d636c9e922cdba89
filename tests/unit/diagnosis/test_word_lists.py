"""The lists of function names."""

import pytest

from astbtd.diagnosis.frame_kind import LISTED_KINDS, FrameKind
from astbtd.diagnosis.word_lists import load_words


@pytest.mark.parametrize("listed", LISTED_KINDS)
def test_every_list_has_names_and_no_name_is_in_two_lists(listed: FrameKind) -> None:
    others = [load_words(other.value).names for other in LISTED_KINDS if other is not listed]

    assert load_words(listed.value).names
    assert not load_words(listed.value).names & frozenset().union(*others)
