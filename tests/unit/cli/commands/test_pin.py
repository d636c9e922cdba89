"""`astbtd pin` and `astbtd unpin`: exempt a crash from retention, and make it subject to retention again."""

from dataclasses import replace

import pytest

from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run


def test_a_pinned_crash_is_marked_until_it_is_unpinned(astbtd: Run, keep: Keep, store: Store) -> None:
    keep(crash())

    assert astbtd("pin", "latest") == (0, f"{crash().id} is pinned: retention removes nothing of it\n", "")
    assert store.load(crash().id) == replace(crash(), pinned=True)
    assert astbtd("list").out.splitlines()[1].split()[-3:] == ["pinned", "ast_bridge_join", crash().id]
    assert "\nPinned: exempt from retention\n" in astbtd("show").out

    assert astbtd("unpin", crash().id).out == f"{crash().id} is not pinned: retention applies to it\n"
    assert store.load(crash().id) == crash()
    assert "pinned" not in astbtd("list").out.lower()


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_the_second_time_is_not_an_error(astbtd: Run, keep: Keep, verb: str) -> None:
    keep(crash())

    assert astbtd(verb, "-1") == astbtd(verb, "-1")


def test_only_the_named_crash_is_pinned(astbtd: Run, keep: Keep, store: Store) -> None:
    for minutes in (1, 2, 3):
        keep(crash(minutes))

    astbtd("pin", "-2")

    assert [one.id for one in store.crashes() if one.pinned] == [crash(2).id]


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_an_unknown_id_is_an_error(astbtd: Run, keep: Keep, verb: str) -> None:
    keep(crash())

    answer = astbtd(verb, "20270101")

    assert answer.code == 3
    assert "no crash id starts with" in answer.err


@pytest.mark.usefixtures("plain_user")
@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_a_reader_gets_a_hint_to_use_sudo(astbtd: Run, store: Store, verb: str) -> None:
    answer = astbtd(verb, "latest")

    assert (answer.code, answer.out) == (1, "")
    assert "Permission denied\n  hint: use sudo" in answer.err
    assert not next(store.crashes()).pinned
