"""Cores that are heavy each by itself: bounded in memory and output, with the best text that could be had.

What is left out is said.
"""

import re
from pathlib import Path

from astbtd.model.crash import CoreState, Crash, ExtractionOutcome, Section
from tests.integration.conftest import extract, text
from tests.integration.test_confinement import with_gdb
from tests.support.harness import RunningDaemon, crash

_THREAD = re.compile(r"^Thread (\d+) \(", re.MULTILINE)
_LEFT_OUT = re.compile(r"^\(Thread (\d+) is left out: gdb\.output allows no more, brief\.txt has it\)$", re.MULTILINE)
_INNERMOST = "\n(More stack frames follow: more than 500, of which these are the innermost; the outermost return to "


def threads(configured: RunningDaemon, recorded: Crash, section: Section) -> list[int]:
    """The numbers of the threads in a section."""
    return [int(number) for number in _THREAD.findall(text(configured, recorded, section))]


def test_of_a_runaway_recursion_the_innermost_frames_are_shown_and_all_other_threads(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "recurse", "--stack", "8192")
    extracting.configure({"gdb": {"address_space": "512M", "backtrace_limit": 50}})
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.notes == ("thread 1: more than 500 frames, of which the innermost 50 are shown",)
    assert recorded.diagnosis.crash_function == "pbx_find_extension"
    assert recorded.diagnosis.frames == 50
    for section, times in ((Section.THREAD1, 1), (Section.BRIEF, 1), (Section.FULL, 1), (Section.BACKTRACE, 3)):
        assert text(extracting, recorded, section).count(_INNERMOST) == times
    began = "pbx_find_extension, pbx_extension_helper, __ast_pbx_run, pbx_thread, "
    assert f"{_INNERMOST}{began}" in text(extracting, recorded, Section.THREAD1)
    everyone = threads(extracting, recorded, Section.BRIEF)
    assert len(everyone) == recorded.diagnosis.threads > 1
    assert threads(extracting, recorded, Section.FULL) == everyone


def test_a_thread_of_many_frames_that_is_no_runaway_recursion_is_shown_whole(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "recurse", "--stack", "64")
    recorded = extract(extracting, core)
    assert recorded.extraction.notes == ()
    assert recorded.diagnosis.frames > 200
    assert "in clone" in text(extracting, recorded, Section.THREAD1)


def test_two_thousand_threads_are_all_there_in_short_and_in_full(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv", "--threads", "2000")
    extracting.configure({"gdb": {"address_space": "512M"}})
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.notes == ()
    assert recorded.diagnosis.threads > 2000
    for section in (Section.BRIEF, Section.FULL):
        assert len(set(threads(extracting, recorded, section))) == recorded.diagnosis.threads


def test_of_locals_too_large_to_print_the_text_says_so_and_has_all_frames(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv", "--locals", "64", "--stack", "81920")
    extracting.configure({"gdb": {"address_space": "512M"}})
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.diagnosis.crash_function == "do_forward"
    thread = text(extracting, recorded, Section.THREAD1)
    assert re.search(r"copies = <error reading variable copies \(value requires \d+ bytes, which is more than", thread)
    assert "in run_with_locals (" in thread
    assert "in clone" in thread


def test_where_there_is_no_room_for_all_locals_every_thread_has_its_frames(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv", "--threads", "70")
    extracting.configure({"gdb": {"output": "400K"}})
    recorded = extract(extracting, core)
    everyone = threads(extracting, recorded, Section.BRIEF)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert len(everyone) == recorded.diagnosis.threads > 70
    left_out = [int(number) for number in _LEFT_OUT.findall(text(extracting, recorded, Section.FULL))]
    assert left_out
    assert threads(extracting, recorded, Section.FULL) + left_out == everyone
    (note,) = recorded.extraction.notes
    assert note.endswith(" more: locals are left out (gdb.output)")
    assert sum(recorded.extraction.sections.values()) < 400 << 10


def test_a_sparse_core_of_ten_gigabytes_is_collected_and_kept_in_little_room(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    core = crash(programs, scratch, "segv", "--untouched", "10240")
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"address_space": "512M"}})
    running.start()
    core.rename(spool / "core")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.size > 10 << 30
    assert recorded.core.state is CoreState.KEPT
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.notes == ()
    assert recorded.diagnosis.crash_function == "do_forward"
    assert running.store.kept_core(recorded.id).stat().st_size < 100 << 20


def test_a_gdb_that_gives_nothing_is_run_once_more_with_a_limit_on_frames(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "recurse", "--stack", "64")
    dies_at_first = """#!/bin/sh
case $(printenv ASTBTD_JOB) in
*'"frames": 0,'*) kill -KILL $$ ;;
esac
exec gdb "$@"
"""
    with_gdb(extracting, dies_at_first, backtrace_limit=50)
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.KILLED
    assert recorded.diagnosis.crash_function == "pbx_find_extension"
    assert recorded.diagnosis.frames == 50
    assert recorded.extraction.notes == (
        "without a limit gdb gave no backtrace (killed): every thread is cut after 50 frames",
    )
