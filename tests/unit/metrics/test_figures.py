"""The figures are those of the store and of the daemon's state, whatever is in them."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError
from astbtd.metrics.figures import Figures, gather
from astbtd.model.crash import CoreState, Signal, Verdict
from astbtd.model.daemon_state import STATE_FILE, DaemonState
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support.builders import ABORT, NOON, crash
from tests.support.deadlocks import capture
from tests.support.stores import commit


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def figures(store: Store) -> Figures:
    return gather(store, store.root, lambda: 3)


def test_crashes_are_counted_by_signal_and_verdict(store: Store) -> None:
    unusable = crash(3, pid=3, signal=ABORT)
    commit(
        store,
        crash(1, pid=1),
        crash(2, pid=2),
        replace(unusable, diagnosis=replace(unusable.diagnosis, verdict=Verdict.UNUSABLE)),
        crash(4, pid=4, signal=None),
    )

    assert figures(store).crashes.by_signal_and_verdict == {
        ("SIGSEGV", "usable"): 2,
        ("SIGABRT", "unusable"): 1,
        ("unknown", "usable"): 1,
    }


def test_unusual_signals_have_one_label_together(store: Store) -> None:
    for number in (40, 41):
        commit(store, crash(number, pid=number, signal=Signal(number, f"SIG{number}", 0, None)))

    assert figures(store).crashes.by_signal_and_verdict == {("other", "usable"): 2}


def test_signatures_lost_cores_and_the_last_crash_are_those_of_the_pbx(store: Store) -> None:
    commit(
        store,
        crash(1, pid=1, signature="0123456789ab"),
        crash(2, pid=2, signature="0123456789ab", state=CoreState.LOST),
        crash(3, pid=3, signature="ba9876543210"),
        replace(crash(9, pid=4, signature="ffffffffffff", state=CoreState.LOST), foreign=True),
    )

    crashes = figures(store).crashes

    assert (crashes.signatures, crashes.lost, crashes.foreign) == (2, 1, 1)
    assert crashes.last_crash == NOON + timedelta(minutes=3)


def test_damaged_records_are_counted(store: Store) -> None:
    commit(store, crash(1, pid=1), crash(2, pid=2))
    (store.directory(crash(1, pid=1).id) / "crash.json").write_text("{")

    crashes = figures(store).crashes

    assert crashes.damaged == 1
    assert sum(crashes.by_signal_and_verdict.values()) == 1


def test_the_store_is_measured_by_part(store: Store) -> None:
    staged = store.stage(crash().id)
    (staged / "core.zst").write_bytes(bytes(1000))
    (staged / "report.txt").write_bytes(bytes(200))
    record = store.commit(staged, crash()) / "crash.json"
    captures = Captures(store.root)
    captures.prepare()
    captured = captures.commit(captures.stage(capture(1).id), capture(1), keep=1) / "deadlock.json"

    assert figures(store).stored == {
        "cores": 1000,
        "texts": 200,
        "records": record.stat().st_size,
        "objects": 0,
        "captures": captured.stat().st_size,
    }


def test_an_empty_store_has_figures(tmp_path: Path) -> None:
    found = figures(Store(tmp_path / "missing"))

    assert found.crashes.last_crash is None
    assert found.crashes.by_signal_and_verdict == {}
    assert set(found.stored.values()) == {0}
    assert found.failed_deliveries == 3


def test_the_state_of_the_daemon_is_read(store: Store) -> None:
    assert figures(store).daemon is None

    state = {"queued": 2, "more": True, "crash_loops": 1, "usable": None}
    (store.root / STATE_FILE).write_text(json.dumps({**state, "added_by_a_newer_version": 1}))

    assert figures(store).daemon == DaemonState(2, True, 1, None)


def test_a_damaged_state_is_an_error(store: Store) -> None:
    (store.root / STATE_FILE).write_text('{"queued":')

    with pytest.raises(AstbtdError, match=r"state\.json"):
        figures(store)


def test_a_damaged_state_of_a_sink_hides_no_other_figure(store: Store) -> None:
    def fail() -> int:
        raise AstbtdError("cannot read the state of a sink")

    found = gather(store, store.root, fail)

    assert found.failed_deliveries is None
    assert found.stored.keys() == figures(store).stored.keys()
