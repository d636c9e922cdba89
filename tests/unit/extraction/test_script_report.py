"""What gdb reports of Asterisk is read, and never trusted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.extraction.script_report import GdbFacts
from astbtd.model.crash import Asterisk, Symbols
from astbtd.settings import GdbSettings

NOTHING = GdbFacts(None, Symbols.ALL, None, Asterisk())


def read(**asterisk: object) -> Asterisk:
    return GdbFacts.read(json.dumps({"gdb_version": "13.1", "asterisk": asterisk}).encode()).asterisk


def test_all_that_gdb_reports() -> None:
    data = {
        "gdb_version": "13.1",
        "symbols": "lazy",
        "asterisk": {
            "version": "22.10.0",
            "all_options": "DONT_OPTIMIZE, BETTER_BACKTRACES, OPTIONAL_API",
            "abi_options": "OPTIONAL_API",
            "abort_message": "free(): invalid pointer",
            "lock_table": False,
        },
    }

    assert GdbFacts.read(json.dumps(data).encode()) == GdbFacts(
        "13.1",
        Symbols.LAZY,
        "free(): invalid pointer",
        Asterisk("22.10.0", ("DONT_OPTIMIZE", "BETTER_BACKTRACES", "OPTIONAL_API"), True, False, True),
    )


def test_the_options_of_the_abi_do_not_tell_how_it_was_optimised() -> None:
    asterisk = read(abi_options="DEBUG_THREADS, OPTIONAL_API")

    assert asterisk.build_options == ("DEBUG_THREADS", "OPTIONAL_API")
    assert (asterisk.dont_optimize, asterisk.debug_threads, asterisk.better_backtraces) == (None, True, None)


def test_a_lock_table_proves_debug_threads() -> None:
    assert read(all_options="DONT_OPTIMIZE", lock_table=True).debug_threads is True


def test_no_options_are_known_to_be_none_and_not_unknown() -> None:
    assert read(all_options="") == Asterisk(None, (), False, False, False)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"gdb_version": 5}', b'{"asterisk": {"version": []}}'],
)
def test_what_gdb_did_not_write_is_not_believed(data: bytes) -> None:
    assert GdbFacts.read(data) == NOTHING


def test_texts_are_cut() -> None:
    asterisk = read(version="2" * 100_000, all_options=", ".join(f"OPTION_{number}" for number in range(10_000)))

    assert asterisk.version is not None
    assert asterisk.build_options is not None
    assert (len(asterisk.version), len(asterisk.build_options)) == (1024, 64)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(("version", "asterisk")), children)
    ),
    max_leaves=10,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_facts(data: bytes) -> None:
    assert isinstance(GdbFacts.read(data), GdbFacts)


def test_what_was_left_out_is_said() -> None:
    facts = GdbFacts.read(json.dumps({"deep": [3], "cut": [9, 8, 7, 6, 5, 4, 2]}).encode())
    assert list(facts.cuts(GdbSettings())) == [
        "thread 3: more than 2000 frames, of which the innermost 200 are shown",
        "threads 9, 8, 7, 6, 5 and 2 more: locals are left out (gdb.output)",
    ]


@pytest.mark.parametrize("deep", ["1", [1.5], ["\n"], {"1": 1}, [None]])
def test_numbers_of_threads_that_are_none_are_not_believed(deep: object) -> None:
    assert list(GdbFacts.read(json.dumps({"deep": deep}).encode()).cuts(GdbSettings())) == []
