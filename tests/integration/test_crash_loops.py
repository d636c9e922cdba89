"""A crash loop: every crash is counted and recorded, none of them costs much, and the odd one out is found."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, CoreState, Crash
from tests.support.harness import RunningDaemon, crash

_CRASHES = 1000
_IN_FULL = 3
_TEXTS, _CORES = 1 << 20, 16 << 20  # bytes that may be kept
_LONGEST_RECORD = 32 << 10  # bytes on disk of a crash that is counted and no more: its record and its report
_UNTIDIED = 100  # crashes of a loop between two runs of retention


@pytest.fixture
def looping(running: RunningDaemon, spool: Path) -> RunningDaemon:
    """A daemon to which three crashes in a minute are a loop, and which may not keep much."""
    limits = {"texts": {"size": _TEXTS}, "cores": {"size": _CORES}, "every": "1d"}
    configure(running, spool, within="1min", retention=limits)
    return running


def configure(running: RunningDaemon, spool: Path, within: str, **others: object) -> None:
    loop = {"crashes": _IN_FULL, "within": within}
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": loop, **others})


def crash_in_passing(programs: Path, spool: Path, how: str = "segv") -> None:
    """A crash that is followed by the next one at once: its core has a name that no other takes."""
    core = crash(programs, spool.parent, how)
    core.rename(spool / f"core.{core.stat().st_ino}")


def briefly(crashes: list[Crash]) -> list[Crash]:
    return [crash for crash in crashes if crash.extraction.brief]


def test_a_thousand_crashes_are_a_thousand_records_and_the_odd_one_out_is_examined_in_full(
    looping: RunningDaemon, programs: Path, spool: Path
) -> None:
    looping.start()
    for number in range(1, _CRASHES + 1):
        crash_in_passing(programs, spool, "abort" if number == _CRASHES // 2 else "segv")
        if number % 50 == 0:
            looping.wait_until(lambda: not list(spool.iterdir()), "the crashes so far")
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
    assert sizes(looping, is_text) <= _TEXTS + _UNTIDIED * _LONGEST_RECORD
    assert sizes(looping, lambda name: name == KEPT_CORE_FILE) <= _CORES
    assert looping.output().count("retention removed") <= _CRASHES // _UNTIDIED + _IN_FULL + 1


def sizes(running: RunningDaemon, what: Callable[[str], bool]) -> int:
    """The bytes of all files in the store with such names."""
    files = [file for file in running.store.root.glob("crashes/*/*") if what(file.name)]
    return sum(file.stat().st_size for file in files if file.exists())


def is_text(name: str) -> bool:
    return name not in (KEPT_CORE_FILE, RECORD_FILE)


def test_in_a_loop_the_store_stays_within_its_limits_and_the_count_goes_on(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    limits = {"texts": {"count": 20}, "records": {"count": 50}, "every": "1d"}
    configure(running, spool, within="1min", retention=limits)
    running.start()
    highest = 0
    for number in range(1, 401):
        crash_in_passing(programs, spool)
        if number % 10 == 0:
            running.wait_until(lambda: not list(spool.iterdir()), "the crashes so far")
            highest = max(highest, len(running.store.ids()))
    running.wait_until(lambda: "SIGSEGV in do_forward, 400 crashes" in running.manager.status, "the last of them")

    assert highest <= 50 + _UNTIDIED
    running.wait_until(lambda: running.crashes()[0].signature.occurrence == 400, "the numbers to be put right")
    assert sum(1 for each in running.crashes() if not each.texts_removed_at) <= 20 + _UNTIDIED


def test_the_disk_that_a_loop_takes_is_within_the_limit(running: RunningDaemon, programs: Path, spool: Path) -> None:
    limits = {"texts": {"size": "100K"}, "cores": {"size": "100K"}, "every": "1s"}
    configure(running, spool, within="1min", retention=limits)
    running.start()
    for _ in range(120):
        crash_in_passing(programs, spool)
    recorded = running.wait_for_crashes(120)
    running.wait_until(lambda: sizes(running, is_text) <= 100 << 10, "retention")

    assert sizes(running, lambda name: name == KEPT_CORE_FILE) <= 100 << 10
    assert [each.signature.occurrence for each in recorded] == list(range(120, 0, -1))


def test_a_loop_is_told_when_it_begins_in_the_status_while_it_lasts_and_when_it_ends_with_its_count(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    configure(running, spool, within="20s")
    running.start()
    for count in range(1, 8):
        crash(programs, spool, "segv")
        recorded = running.wait_for_crashes(count)
    running.wait_until(lambda: "SIGSEGV in do_forward, 7 crashes" in running.manager.status, "the status")
    assert running.manager.status.startswith("crash loop since ")
    assert [each.core.state for each in recorded] == [CoreState.REMOVED] * 4 + [CoreState.KEPT] * 3
    assert "has ended" not in running.output()

    running.wait_until(lambda: "the crash loop has ended" in running.output(), "the end of the loop")

    running.wait_until(lambda: "crash loop" not in running.manager.status, "the status after the loop")
    assert "the crash loop has ended: SIGSEGV in do_forward, 7 crashes between " in running.output()
    assert running.output().count("crash loop") == 2
    crash(programs, spool, "segv")
    assert not running.wait_for_crashes(8)[0].extraction.brief


def test_a_loop_goes_on_over_a_restart_and_is_told_once(looping: RunningDaemon, programs: Path, spool: Path) -> None:
    looping.start()
    for count in range(1, 6):
        if count == 4:
            looping.stop()
            looping.start()
        crash(programs, spool, "segv")
        recorded = looping.wait_for_crashes(count)

    assert [each.extraction.brief for each in recorded] == [True, True, False, False, False]
    looping.wait_until(lambda: "SIGSEGV in do_forward, 5 crashes" in looping.manager.status, "the count")
    assert looping.output().count("crash loop:") == 1
