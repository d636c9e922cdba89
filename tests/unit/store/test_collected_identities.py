"""The list of collected identities."""

import pytest

from astbtd.store.store import Store


def test_a_long_list_keeps_the_latest_identities(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astbtd.store.collected_identities._MOST", 2)
    for identity in "abcde":
        store.collected.add(identity)

    store.collected.drop_oldest()

    assert store.collected.all() == {"d", "e"}


def test_identities_are_durable(store: Store) -> None:
    assert store.collected.all() == set()
    store.collected.add("0a" * 16)
    store.collected.add("0b" * 16)

    assert Store(store.root).collected.all() == {"0a" * 16, "0b" * 16}


def test_identities_are_looked_up(store: Store) -> None:
    assert store.collected.among({"0a" * 16}) == set()
    store.collected.add("0a" * 16)
    store.collected.add("0b" * 16)

    assert store.collected.among({"0a" * 16, "0c" * 16}) == {"0a" * 16}


def test_a_torn_line_does_not_affect_the_others(store: Store) -> None:
    store.collected.add("0a" * 16)
    with (store.root / "seen").open("a") as file:
        file.write("0b")
    store.collected.add("0c" * 16)

    assert store.collected.all() == {"0a" * 16, "0c" * 16}
