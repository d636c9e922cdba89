"""Cores of aarch64 programs, read by a gdb that knows the machine: registers, locks, stacks and functions' code.

An emulator runs the programs, so that this needs no such machine. The kernel's part is not tested: ptrace, its cores.
"""

import os
import re
from pathlib import Path

import pytest

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.deadlock.wait_graph import WaitAnalysis, analyze_samples, build_sample
from astbtd.elf.core_notes import read_facts
from astbtd.extraction.extracted_core import opened_before
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import find_sandbox_user
from astbtd.model.crash import Crash, Section, Symbols
from astbtd.model.deadlock_capture import Finding, OwnerState
from astbtd.settings import GdbSettings
from tests.support.commands import extract, section_text
from tests.support.emulated import abort_emulated, build_for_aarch64, crash_emulated
from tests.support.harness import RunningDaemon
from tests.support.lock_scenes import CYCLES

GDB = "gdb-multiarch"


@pytest.fixture(scope="module", params=[(), ("OPTIMIZE=1",)], ids=["debug", "optimized"])
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_for_aarch64(tmp_path_factory.mktemp("aarch64"), *request.param)


def extracted(extracting: RunningDaemon, core: Path, program: Path) -> Crash:
    """Extract a core with a gdb for all machines."""
    extracting.configure({"gdb": {"program": GDB, "backtrace_limit": 50}})
    return extract(extracting, core, "--executable", str(program))


def test_the_outermost_functions_of_a_runaway_recursion_are_found(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash_emulated(programs / "asterisk", scratch, "recurse", "--stack", "2048")

    recorded = extracted(extracting, core, programs / "asterisk")

    assert recorded.extraction.notes == ("thread 1: more than 500 frames, only the innermost 50 are shown",)
    assert recorded.diagnosis.crash_function == "pbx_find_extension"
    began = "pbx_find_extension, pbx_extension_helper, __ast_pbx_run, pbx_thread, dummy_start, "
    assert re.search(f"only the innermost are shown; .*{began}", section_text(extracting, recorded, Section.THREAD1))


def test_version_and_build_options_are_read(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    core = crash_emulated(programs / "asterisk", scratch, "abort")

    recorded = extracted(extracting, core, programs / "asterisk")

    assert recorded.asterisk.version == "22.10.0-astbtd"
    assert recorded.asterisk.dont_optimize is (" -O0 " in (programs / "settings").read_text())
    assert recorded.site is not None


def fingerprint_of(core: Path) -> str | None:
    descriptor = os.open(core, os.O_RDONLY)
    try:
        return read_facts(descriptor).site
    finally:
        os.close(descriptor)


def test_the_same_crash_has_the_same_fingerprint_and_another_does_not(programs: Path, scratch: Path) -> None:
    one, same, other = (
        fingerprint_of(crash_emulated(programs / "asterisk", scratch, *arguments))
        for arguments in (("abort",), ("abort", "--note", "another"), ("smash",))
    )

    assert one == same
    assert None not in (one, other)
    assert one != other


def waits_in(core: Path, directory: Path) -> WaitAnalysis:
    """Return what the waits in a core mean if nothing has moved between two samples."""
    sections = directory / "sections"
    sections.mkdir()
    settings = GdbSettings(program=GDB)
    extractor = Extractor(settings, find_sandbox_user(settings.user), -1, Symbols.LAZY, lambda _: None, lambda: None)
    descriptor = os.open(core, os.O_RDONLY)
    try:
        result = extractor.extract(opened_before(descriptor, read_facts(descriptor)), sections)
    finally:
        os.close(descriptor)
    assert result.thread_states.machine == "aarch64"
    sample = build_sample(parse((sections / Section.BRIEF).read_text()), result.thread_states)
    return analyze_samples([sample, sample])


@pytest.mark.parametrize("scene", CYCLES)
def test_a_cycle_of_waiting_threads_is_a_deadlock(programs: Path, scratch: Path, scene: str) -> None:
    core = abort_emulated(programs / "locks", scratch, scene)

    analysis = waits_in(core, scratch)

    found, locks = {wait.thread_name: wait for wait in analysis.waits}, CYCLES[scene]
    cycle = [found[thread].lwp for thread in locks]
    assert analysis.finding is Finding.DEADLOCK
    assert set(analysis.cycle or ()) == set(cycle)
    assert {thread: wait.lock_name for thread, wait in found.items()} == locks
    assert [found[thread].owner_lwp for thread in locks] == [*cycle[1:], cycle[0]]


@pytest.mark.parametrize(
    ("scene", "thread", "owner_state", "end"),
    [
        ("exited-owner", "only_alpha", OwnerState.GONE, "which no longer exists"),
        ("slow-owner", "only_alpha", OwnerState.SLEEPING, "which sleeps"),
        ("slow-reader", "only_write_directory", OwnerState.READERS, "held by unknown readers"),
    ],
)
def test_a_chain_without_a_cycle_is_stuck_and_named_by_its_end(
    programs: Path, scratch: Path, scene: str, thread: str, owner_state: OwnerState, end: str
) -> None:
    core = abort_emulated(programs / "locks", scratch, scene)

    analysis = waits_in(core, scratch)

    (wait,) = analysis.waits
    assert (analysis.finding, analysis.cycle) == (Finding.STUCK, None)
    assert (wait.thread_name, wait.owner_state, wait.stuck) == (thread, owner_state, True)
    assert end in analysis.summary


def test_a_crash_of_a_deadlocked_program_is_recorded_as_such(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = abort_emulated(programs / "locks", scratch, "two-mutexes")

    recorded = extracted(extracting, core, programs / "locks")

    assert recorded.diagnosis.deadlock is True
