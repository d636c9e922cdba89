"""The report of the script inside gdb is parsed and not trusted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.extraction.script_report import GdbFacts, parse_thread_states
from astbtd.model.crash import Asterisk, Symbols
from astbtd.model.deadlock_capture import ThreadState, ThreadStates
from astbtd.settings import GdbSettings

NOTHING = GdbFacts(None, Symbols.ALL, None, Asterisk())


def read_asterisk(**asterisk: object) -> Asterisk:
    return GdbFacts.from_json(json.dumps({"gdb_version": "13.1", "asterisk": asterisk}).encode()).asterisk


def test_all_facts_are_parsed() -> None:
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

    assert GdbFacts.from_json(json.dumps(data).encode()) == GdbFacts(
        "13.1",
        Symbols.LAZY,
        "free(): invalid pointer",
        Asterisk("22.10.0", ("DONT_OPTIMIZE", "BETTER_BACKTRACES", "OPTIONAL_API"), True, False, True),
    )


def test_the_abi_options_do_not_show_the_optimization() -> None:
    asterisk = read_asterisk(abi_options="DEBUG_THREADS, OPTIONAL_API")

    assert asterisk.build_options == ("DEBUG_THREADS", "OPTIONAL_API")
    assert (asterisk.dont_optimize, asterisk.debug_threads, asterisk.better_backtraces) == (None, True, None)


def test_a_lock_table_proves_debug_threads() -> None:
    assert read_asterisk(all_options="DONT_OPTIMIZE", lock_table=True).debug_threads is True


def test_an_empty_list_of_options_is_known() -> None:
    assert read_asterisk(all_options="") == Asterisk(None, (), False, False, False)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"gdb_version": 5}', b'{"asterisk": {"version": []}}'],
)
def test_invalid_facts_are_unknown(data: bytes) -> None:
    assert GdbFacts.from_json(data) == NOTHING


def test_long_texts_are_cut() -> None:
    asterisk = read_asterisk(
        version="2" * 100_000, all_options=", ".join(f"OPTION_{number}" for number in range(10_000))
    )

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
def test_any_data_gives_facts(data: bytes) -> None:
    assert isinstance(GdbFacts.from_json(data), GdbFacts)


def test_omissions_are_described() -> None:
    facts = GdbFacts.from_json(
        json.dumps({"deep_threads": [3], "threads_without_locals": [9, 8, 7, 6, 5, 4, 2]}).encode()
    )
    assert list(facts.omissions(GdbSettings())) == [
        "thread 3: more than 2000 frames, only the innermost 200 are shown",
        "threads 9, 8, 7, 6, 5 and 2 more: locals are omitted (gdb.output)",
    ]


@pytest.mark.parametrize("deep", ["1", [1.5], ["\n"], {"1": 1}, [None]])
def test_invalid_thread_numbers_are_ignored(deep: object) -> None:
    assert list(GdbFacts.from_json(json.dumps({"deep_threads": deep}).encode()).omissions(GdbSettings())) == []


THREAD = {"lwp": 7, "syscall": 202, "arguments": [1, 128, 2, 0, 0, 0], "stack_pointer": 5, "near": "00", "symbol": "a"}


def test_thread_states_are_parsed() -> None:
    states = parse_thread_states(json.dumps({"machine": "i386:x86-64", "threads": [THREAD, {"lwp": 8}]}).encode())

    assert states.machine == "i386:x86-64"
    assert states.threads == (ThreadState(7, 202, (1, 128, 2, 0, 0, 0), 5, "00", "a"), ThreadState(8))


def test_a_long_symbol_is_cut() -> None:
    (thread,) = parse_thread_states(json.dumps({"threads": [THREAD | {"symbol": "x" * 9999}]}).encode()).threads

    assert len(thread.symbol or "") == 256


@pytest.mark.parametrize("data", [b"", b"null", b"[", b'{"threads": 7}', b'{"threads": [{"lwp": "x"}]}', b"\xff"])
def test_invalid_thread_states_are_unknown(data: bytes) -> None:
    assert parse_thread_states(data) == ThreadStates()


@given(st.binary(max_size=200))
def test_any_data_gives_thread_states(data: bytes) -> None:
    parse_thread_states(data)
