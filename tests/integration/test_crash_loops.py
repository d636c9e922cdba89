"""A crash loop: every crash is recorded at low cost, and a different crash among them is found.

In a stripped build, and if another user crashes on purpose, a crash must not count as one more of a loop.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, CoreState, Crash
from tests.support.builders import signature_of
from tests.support.commands import build, run_astbtd
from tests.support.harness import RunningDaemon, crash, scratch_directory

_CRASHES = 1000
_IN_FULL = 3
_TEXTS, _CORES = 1 << 20, 16 << 20  # limits in bytes
_LARGEST_BRIEF_RECORD = 32 << 10  # bytes on disk of a crash without an extraction: its record and its report
_BETWEEN_RETENTION_RUNS = 100  # crashes of a loop


@pytest.fixture
def looping(running: RunningDaemon, spool: Path) -> RunningDaemon:
    """A daemon with low limits, for which three crashes in a minute are a loop."""
    limits = {"texts": {"size": _TEXTS}, "cores": {"size": _CORES}, "every": "1d"}
    configure(running, spool, within="1min", retention=limits)
    return running


def configure(running: RunningDaemon, spool: Path, within: str, **others: object) -> None:
    loop = {"crashes": _IN_FULL, "within": within}
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": loop, **others})


def crash_with_unique_core(programs: Path, spool: Path, how: str = "segv") -> None:
    """Crash and give the core a unique name, so that the next crash does not overwrite it."""
    core = crash(programs, spool.parent, how)
    core.rename(spool / f"core.{core.stat().st_ino}")


def brief_records(crashes: list[Crash]) -> list[Crash]:
    return [crash for crash in crashes if crash.extraction.brief]


@pytest.mark.nightly
def test_a_thousand_crashes_are_a_thousand_records_and_a_different_one_is_extracted_in_full(
    looping: RunningDaemon, programs: Path, spool: Path
) -> None:
    looping.start()
    for number in range(1, _CRASHES + 1):
        crash_with_unique_core(programs, spool, "abort" if number == _CRASHES // 2 else "segv")
        if number % 50 == 0:
            looping.wait_until(lambda: not list(spool.iterdir()), "the crashes so far")
    recorded = looping.wait_for_crashes(_CRASHES)

    assert Counter(each.diagnosis.crash_function for each in recorded) == {
        "do_forward": _CRASHES - 1,
        "pbx_builtin_hangup": 1,
    }
    assert sorted(signature_of(each).occurrence for each in recorded)[-1] == _CRASHES - 1
    assert len(brief_records(recorded)) == _CRASHES - 1 - _IN_FULL
    (different,) = (each for each in recorded if each.diagnosis.signal == "SIGABRT")
    assert different.core.state is CoreState.KEPT
    assert (looping.store.directory(different.id) / "full.txt").exists()
    assert all(looping.store.size(each.id) < _LARGEST_BRIEF_RECORD for each in brief_records(recorded))
    assert not any(looping.store.kept_core(each.id).exists() for each in brief_records(recorded))
    assert list(spool.iterdir()) == []
    assert looping.output().count("Asterisk crashed") == _IN_FULL + 1
    assert looping.output().count("crash loop: SIGSEGV in do_forward") == 1
    assert total_size(looping, is_text) <= _TEXTS + _BETWEEN_RETENTION_RUNS * _LARGEST_BRIEF_RECORD
    assert total_size(looping, lambda name: name == KEPT_CORE_FILE) <= _CORES
    assert looping.output().count("retention removed") <= _CRASHES // _BETWEEN_RETENTION_RUNS + _IN_FULL + 1


def total_size(running: RunningDaemon, what: Callable[[str], bool]) -> int:
    """Return the size of all files in the store whose names match `what`, in bytes."""
    files = [file for file in running.store.root.glob("crashes/*/*") if what(file.name)]
    return sum(file.stat().st_size for file in files if file.exists())


def is_text(name: str) -> bool:
    return name not in (KEPT_CORE_FILE, RECORD_FILE)


def test_in_a_loop_the_store_stays_within_its_limits_and_counting_continues(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    limits = {"texts": {"count": 20}, "records": {"count": 50}, "every": "1d"}
    configure(running, spool, within="1min", retention=limits)
    running.start()
    highest = 0
    for number in range(1, 401):
        crash_with_unique_core(programs, spool)
        if number % 10 == 0:
            running.wait_until(lambda: not list(spool.iterdir()), "the crashes so far")
            highest = max(highest, len(running.store.ids()))
    running.wait_until(lambda: "SIGSEGV in do_forward, 400 crashes" in running.manager.status, "the last of them")

    assert highest <= 50 + _BETWEEN_RETENTION_RUNS
    running.wait_until(lambda: signature_of(running.crashes()[0]).occurrence == 400, "the crashes to be numbered")
    assert sum(1 for each in running.crashes() if not each.texts_removed_at) <= 20 + _BETWEEN_RETENTION_RUNS


def test_a_loop_stays_within_the_limit_of_disk_space(running: RunningDaemon, programs: Path, spool: Path) -> None:
    limits = {"texts": {"size": "100K"}, "cores": {"size": "100K"}, "every": "1s"}
    configure(running, spool, within="1min", retention=limits)
    running.start()
    for _ in range(120):
        crash_with_unique_core(programs, spool)
    recorded = running.wait_for_crashes(120)
    running.wait_until(lambda: total_size(running, is_text) <= 100 << 10, "retention")

    assert total_size(running, lambda name: name == KEPT_CORE_FILE) <= 100 << 10
    assert [signature_of(each).occurrence for each in recorded] == list(range(120, 0, -1))


def test_the_start_and_the_end_of_a_loop_are_announced_and_the_status_shows_it_meanwhile(
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


def test_a_loop_continues_across_a_restart_and_is_announced_once(
    looping: RunningDaemon, programs: Path, spool: Path
) -> None:
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


@pytest.fixture(scope="module")
def stripped() -> Iterator[Path]:
    """An optimised and stripped Asterisk, whose modules app_rpt and chan_iax2 crash in one of many places."""
    with scratch_directory() as directory:
        yield build(directory, "sites") / "sites"


@pytest.fixture
def watching(running: RunningDaemon, spool: Path) -> RunningDaemon:
    """A daemon for which five crashes in ten minutes are a loop: the default."""
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": {"crashes": 5, "within": "10min"}})
    return running


def crash_in_module(stripped: Path, spool: Path, module: str, place: int = 0) -> None:
    """Let a module crash at a place, and give the core a unique name."""
    core = crash(stripped, spool.parent, str(stripped / f"{module}.so"), str(place))
    core.rename(spool / f"core.{core.stat().st_ino}")


def test_in_a_stripped_build_a_loop_in_one_module_costs_a_crash_in_another_one_nothing(
    watching: RunningDaemon, stripped: Path, spool: Path
) -> None:
    watching.start()
    for count in range(1, 8):
        crash_in_module(stripped, spool, "app_rpt")
        watching.wait_for_crashes(count)

    crash_in_module(stripped, spool, "chan_iax2")

    last, *loop = watching.wait_for_crashes(8)
    assert [each.extraction.brief for each in loop] == [True, True, False, False, False, False, False]
    assert len({signature_of(each).id for each in loop}) == 1
    assert signature_of(loop[0]).text.startswith("fault in app_rpt.so+0x")
    assert len({each.site for each in loop}) == 1
    assert signature_of(last).text.startswith("fault in chan_iax2.so+0x")
    assert (signature_of(last).occurrence, last.extraction.brief, last.core.state) == (1, False, CoreState.KEPT)
    assert (watching.store.directory(last.id) / "full.txt").exists()
    assert watching.store.kept_core(last.id).exists()
    assert str(watching.store.directory(last.id)) in watching.output()
    assert watching.output().count("Asterisk crashed") == 6
    for each in loop[:2]:
        assert each.core.state is CoreState.REMOVED
        assert "the core was not kept" in each.extraction.notes[-1]
        assert not any("astbtd extract" in line or "astbtd core" in line for line in each.diagnosis.advice)


def test_of_fifty_sites_in_turn_fifty_cores_are_kept_and_extracted_in_full(
    watching: RunningDaemon, stripped: Path, spool: Path
) -> None:
    watching.start()
    for place in range(50):
        crash_in_module(stripped, spool, "app_rpt", place)

    recorded = watching.wait_for_crashes(50)
    watching.wait_until(lambda: not any(each.extraction.postponed for each in watching.crashes()), "the extractions")

    recorded = watching.crashes()
    assert len({each.site.id for each in recorded if each.site}) == 50
    assert len({signature_of(each).text for each in recorded}) == 50
    assert [each.core.state for each in recorded] == [CoreState.KEPT] * 50
    assert all(watching.store.kept_core(each.id).exists() for each in recorded)
    assert all((watching.store.directory(each.id) / "full.txt").exists() for each in recorded)
    assert not any(each.extraction.brief for each in recorded)
    watching.wait_until(lambda: not list(watching.store.incoming.glob("postponed")), "the end of the list of them")
    sites = run_astbtd(watching, "top", "--sites", signature_of(recorded[0]).id).stdout
    assert "app_rpt.so+0x" in sites


def test_a_postponed_extraction_is_done_after_a_restart(watching: RunningDaemon, stripped: Path, spool: Path) -> None:
    for place in range(12):
        crash_in_module(stripped, spool, "app_rpt", place)
    watching.start()
    watching.wait_until(lambda: any(each.extraction.postponed for each in watching.crashes()), "a postponed extraction")
    watching.kill()

    watching.start()

    watching.wait_for_crashes(12)
    watching.wait_until(lambda: not any(each.extraction.postponed for each in watching.crashes()), "the extractions")
    assert all((watching.store.directory(each.id) / "full.txt").exists() for each in watching.crashes())
    watching.wait_until(lambda: not list(watching.store.incoming.glob("*.core")), "the private copies to be removed")


def test_crashes_of_another_user_in_a_function_of_the_same_name_cost_the_next_crash_nothing(
    looping: RunningDaemon, programs: Path, spool: Path
) -> None:
    """The other user runs the same executable, so that build, signature and site are the same."""
    looping.start()
    spool.chmod(0o777)
    for count in range(1, 6):
        core = crash(programs, spool, "segv", user="nobody")
        looping.wait_for_crashes(count)
        core.unlink(missing_ok=True)

    crash_with_unique_core(programs, spool)

    newest = looping.wait_for_crashes(6)[0]
    assert newest.process.uid == 0
    assert (newest.extraction.brief, newest.core.state) == (False, CoreState.KEPT)
    assert (looping.store.directory(newest.id) / "full.txt").exists()
    assert (
        f"Asterisk crashed: {newest.what}; backtrace usable: {looping.store.directory(newest.id)}" in looping.output()
    )


def test_wild_program_counters_have_no_signature_in_common_and_keep_their_cores(
    watching: RunningDaemon, stripped: Path, spool: Path
) -> None:
    watching.start()
    for number in range(1, 8):
        core = crash(stripped, spool.parent, "wild", hex(0x4141 * number))
        core.rename(spool / f"core.{number}")
        watching.wait_for_crashes(number)

    recorded = watching.crashes()

    assert [each.signature for each in recorded] == [None] * 7
    assert [each.core.state for each in recorded] == [CoreState.KEPT] * 7
    assert watching.output().count("Asterisk crashed") == 7
    assert "crash loop" not in watching.output()
