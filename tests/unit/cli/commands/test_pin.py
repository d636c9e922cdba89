"""`astbtd pin` and `astbtd unpin`: what is pinned stays, whatever the limits, and says so."""

from dataclasses import replace

import pytest

from astbtd.store.store import Store
from tests.support.builders import crash
from tests.unit.cli.conftest import Keep, Run


def test_a_pinned_crash_is_marked_until_it_is_unpinned(astbtd: Run, keep: Keep, store: Store) -> None:
    keep(crash())

    assert astbtd("pin", "latest") == (0, f"{crash().id} is pinned: retention takes nothing from it\n", "")
    assert store.load(crash().id) == replace(crash(), pinned=True)
    assert astbtd("list").out.splitlines()[1].split()[-3:] == ["pinned", "ast_bridge_join", crash().id]
    assert "\nPinned: retention takes nothing from it\n" in astbtd("show").out

    assert astbtd("unpin", crash().id).out == f"{crash().id} is not pinned\n"
    assert store.load(crash().id) == crash()
    assert "pinned" not in astbtd("list").out.lower()


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_doing_it_twice_is_no_error(astbtd: Run, keep: Keep, verb: str) -> None:
    keep(crash())

    assert astbtd(verb, "-1") == astbtd(verb, "-1")


def test_only_the_crash_that_is_named_is_pinned(astbtd: Run, keep: Keep, store: Store) -> None:
    for minutes in (1, 2, 3):
        keep(crash(minutes))

    astbtd("pin", "-2")

    assert [one.id for one in store.crashes() if one.pinned] == [crash(2).id]


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_a_crash_that_is_not_there_is_not_pinned(astbtd: Run, keep: Keep, verb: str) -> None:
    keep(crash())

    answer = astbtd(verb, "20270101")

    assert answer.code == 3
    assert "no crash's id starts with" in answer.err


@pytest.mark.usefixtures("plain_user")
@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_who_may_not_is_told_what_helps(astbtd: Run, store: Store, verb: str) -> None:
    answer = astbtd(verb, "latest")

    assert (answer.code, answer.out) == (1, "")
    assert "Permission denied\n  what helps: use sudo" in answer.err
    assert not next(store.crashes()).pinned
