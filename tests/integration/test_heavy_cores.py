"""Large cores: memory and output are limited, the text is as complete as possible and says what is omitted."""

import re
from pathlib import Path

from astbtd.model.crash import CoreState, Crash, ExtractionOutcome, Section
from tests.support.commands import extract, section_text
from tests.support.extractions import configure_gdb
from tests.support.harness import RunningDaemon, crash

_THREAD = re.compile(r"^Thread (\d+) \(", re.MULTILINE)
_OMITTED = re.compile(r"^\(Thread (\d+) is omitted: gdb\.output is reached, see brief\.txt\)$", re.MULTILINE)
_INNERMOST = "\n(More stack frames follow: more than 500, only the innermost are shown; the outermost frames return to "


def thread_numbers(configured: RunningDaemon, recorded: Crash, section: Section) -> list[int]:
    """Return the numbers of the threads in a section."""
    return [int(number) for number in _THREAD.findall(section_text(configured, recorded, section))]


def test_of_a_runaway_recursion_the_innermost_frames_are_shown(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "recurse", "--stack", "8192")
    extracting.configure({"gdb": {"address_space": "512M", "backtrace_limit": 50}})
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.notes == ("thread 1: more than 500 frames, only the innermost 50 are shown",)
    assert recorded.diagnosis.crash_function == "pbx_find_extension"
    assert recorded.diagnosis.frames == 50
    for section, times in ((Section.THREAD1, 1), (Section.BRIEF, 1), (Section.FULL, 1), (Section.BACKTRACE, 3)):
        assert section_text(extracting, recorded, section).count(_INNERMOST) == times
    began = "pbx_find_extension, pbx_extension_helper, __ast_pbx_run, pbx_thread, "
    assert f"{_INNERMOST}{began}" in section_text(extracting, recorded, Section.THREAD1)
    everyone = thread_numbers(extracting, recorded, Section.BRIEF)
    assert len(everyone) == recorded.diagnosis.threads > 1
    assert thread_numbers(extracting, recorded, Section.FULL) == everyone


def test_a_thread_with_many_frames_that_is_not_a_runaway_recursion_is_complete(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "recurse", "--stack", "64")
    recorded = extract(extracting, core)
    assert recorded.extraction.notes == ()
    assert recorded.diagnosis.frames > 200
    assert "in clone" in section_text(extracting, recorded, Section.THREAD1)


def test_two_thousand_threads_are_printed_in_short_and_in_full(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv", "--threads", "2000")
    extracting.configure({"gdb": {"address_space": "512M"}})
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.notes == ()
    assert recorded.diagnosis.threads > 2000
    for section in (Section.BRIEF, Section.FULL):
        assert len(set(thread_numbers(extracting, recorded, section))) == recorded.diagnosis.threads


def test_locals_that_are_too_large_to_print_cost_no_frames(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv", "--locals", "64", "--stack", "81920")
    extracting.configure({"gdb": {"address_space": "512M"}})
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.diagnosis.crash_function == "do_forward"
    thread = section_text(extracting, recorded, Section.THREAD1)
    assert re.search(r"copies = <error reading variable copies \(value requires \d+ bytes, which is more than", thread)
    assert "in run_with_locals (" in thread
    assert "in clone" in thread


def test_when_output_is_limited_locals_are_omitted_but_no_frames(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv", "--threads", "70")
    extracting.configure({"gdb": {"output": "400K"}})
    recorded = extract(extracting, core)
    everyone = thread_numbers(extracting, recorded, Section.BRIEF)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert len(everyone) == recorded.diagnosis.threads > 70
    omitted = [int(number) for number in _OMITTED.findall(section_text(extracting, recorded, Section.FULL))]
    assert omitted
    assert thread_numbers(extracting, recorded, Section.FULL) + omitted == everyone
    (note,) = recorded.extraction.notes
    assert note.endswith(" more: locals are omitted (gdb.output)")
    assert sum(recorded.extraction.sections.values()) < 400 << 10


def test_a_sparse_core_of_ten_gigabytes_is_kept_in_little_space(
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


def test_a_gdb_without_result_is_run_again_with_a_frame_limit(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "recurse", "--stack", "64")
    dies_without_limit = """#!/bin/sh
case $(printenv ASTBTD_JOB) in
*'"frame_limit": 0,'*) kill -KILL $$ ;;
esac
exec gdb "$@"
"""
    configure_gdb(extracting, dies_without_limit, backtrace_limit=50)
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.KILLED
    assert recorded.diagnosis.crash_function == "pbx_find_extension"
    assert recorded.diagnosis.frames == 50
    assert recorded.extraction.notes == (
        "gdb gave no backtrace without a frame limit (killed): every thread is cut after 50 frames",
    )
