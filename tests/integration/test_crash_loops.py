"""A crash loop: every crash is counted and recorded, none of them costs much, and the odd one out is found."""

from collections import Counter
from pathlib import Path

import pytest

from astbtd.model import CoreState, Crash
from tests.harness import RunningDaemon, crash
from tests.kernel import core_pattern

_CRASHES = 1000
_IN_FULL = 3
_LONGEST_RECORD = 32 << 10  # bytes on disk of a crash that is counted and no more: its record and its report


@pytest.fixture
def looping(running: RunningDaemon, spool: Path) -> RunningDaemon:
    """A daemon to which three crashes in a minute are a loop."""
    configure(running, spool, within="1min")
    return running


def configure(running: RunningDaemon, spool: Path, within: str) -> None:
    loop = {"crashes": _IN_FULL, "within": within}
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": loop})


def briefly(crashes: list[Crash]) -> list[Crash]:
    return [crash for crash in crashes if crash.extraction.brief]


def test_a_thousand_crashes_are_a_thousand_records_and_the_odd_one_out_is_examined_in_full(
    looping: RunningDaemon, programs: Path, spool: Path
) -> None:
    looping.start()
    with core_pattern("core.%p"):
        for number in range(_CRASHES):
            crash(programs, spool, "abort" if number == _CRASHES // 2 else "segv")
        recorded = looping.wait_for_crashes(_CRASHES)

    assert Counter(each.diagnosis.crash_function for each in recorded) == {
        "do_forward": _CRASHES - 1,
        "pbx_builtin_hangup": 1,
    }
    assert sorted(each.signature.occurrence for each in recorded)[-1] == _CRASHES - 1
    assert len(briefly(recorded)) == _CRASHES - 1 - _IN_FULL
    (odd,) = (each for each in recorded if each.diagnosis.signal == "SIGABRT")
    assert odd.core.state is CoreState.KEPT
    assert (looping.store.directory(odd.id) / "full.txt").exists()
    assert all(looping.store.size(each.id) < _LONGEST_RECORD for each in briefly(recorded))
    assert not any(looping.store.kept_core(each.id).exists() for each in briefly(recorded))
    assert list(spool.iterdir()) == []
    assert looping.output().count("Asterisk crashed") == _IN_FULL + 1
    assert looping.output().count("crash loop: SIGSEGV in do_forward") == 1
