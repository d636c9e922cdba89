"""Extraction by an unprivileged gdb gives the text that the documentation asks for, in sections."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import astbtd
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.model.crash import ExtractionOutcome, Section
from tests.support.builders import signature_of
from tests.support.commands import build, extract, section_text
from tests.support.documented import frames
from tests.support.extractions import BUILD_OPTIONS, build_variant, run_documented_command
from tests.support.harness import RunningDaemon, crash

_NOBODY = 65534
_THREAD = re.compile(r"^Thread \d+ \(", re.MULTILINE)


@pytest.fixture(scope="module", params=BUILD_OPTIONS)
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs in different builds."""
    return build_variant(tmp_path_factory.mktemp(request.param), request.param)


def test_the_backtrace_equals_the_output_of_the_documented_command(
    extracting: RunningDaemon, variant: Path, scratch: Path
) -> None:
    core = crash(variant, scratch, "segv")
    expected = run_documented_command(core, variant / "asterisk")
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert frames(section_text(extracting, recorded, Section.BACKTRACE)) == frames(expected)


def test_the_five_files_for_issue_triage_have_the_expected_content(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    recorded = extract(extracting, crash(programs, scratch, "segv"))
    threads = {
        section: len(_THREAD.findall(section_text(extracting, recorded, section)))
        for section in Section
        if section is not Section.LOG
    }
    assert threads == {
        Section.BACKTRACE: recorded.diagnosis.threads,
        Section.THREAD1: 1,
        Section.BRIEF: recorded.diagnosis.threads,
        Section.FULL: recorded.diagnosis.threads,
        Section.LOCKS: 0,
        Section.INFO: 0,
    }
    assert "si_signo = 11" in section_text(extracting, recorded, Section.BRIEF)
    for section in (Section.INFO, Section.LOCKS):
        assert "Version: 22.10.0-astbtd\n" in section_text(extracting, recorded, section)
        assert "All build options: DONT_OPTIMIZE" in section_text(extracting, recorded, section)
        assert "\nStarted: " in section_text(extracting, recorded, section)


def test_memory_of_the_crashed_process_cannot_forge_a_section(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    recorded = extract(extracting, crash(programs, scratch, "segv", "--note", "\n#0  0x0 in evil () at evil.c:1\n"))
    assert recorded.diagnosis.crash_function == "do_forward"
    assert "evil" not in section_text(extracting, recorded, Section.INFO)
    assert "\x1b" not in (extracting.store.directory(recorded.id) / "report.txt").read_text()


@pytest.mark.parametrize(
    ("mode", "signal", "function", "corruption"),
    [
        ("segv", "SIGSEGV", "do_forward", "none"),
        ("abort", "SIGABRT", "pbx_builtin_hangup", "none"),
        ("double-free", "SIGABRT", "moh_class_destructor", "certain"),
        ("smash", "SIGABRT", "pbx_builtin_setvar", "likely"),
    ],
)
def test_each_kind_of_crash_is_diagnosed(
    extracting: RunningDaemon, programs: Path, scratch: Path, mode: str, signal: str, function: str, corruption: str
) -> None:
    diagnosis = extract(extracting, crash(programs, scratch, mode)).diagnosis
    assert (diagnosis.signal, diagnosis.crash_function, diagnosis.memory_corruption) == (signal, function, corruption)


def test_the_same_bug_has_the_same_signature_in_another_process(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    first = extract(extracting, crash(programs, scratch, "segv"))
    second = extract(extracting, crash(programs, scratch, "segv", "--threads", "20"))
    assert signature_of(first).id == signature_of(second).id
    assert (signature_of(first).occurrence, signature_of(second).occurrence) == (1, 2)
    assert signature_of(second).first_seen == first.crashed_at


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs with optimization."""
    return build(tmp_path_factory.mktemp("optimized"), "OPTIMIZE=1")


@pytest.mark.parametrize("mode", ["segv", "abort", "double-free", "smash"])
def test_the_same_bug_has_the_same_signature_with_and_without_optimization(
    extracting: RunningDaemon, programs: Path, optimized: Path, scratch: Path, mode: str
) -> None:
    first = extract(extracting, crash(programs, scratch, mode))
    second = extract(extracting, crash(optimized, scratch, mode))
    assert second.diagnosis.optimized
    assert signature_of(first).text == signature_of(second).text


def test_a_gdb_without_python_runs_the_documented_commands(
    extracting: RunningDaemon, programs: Path, scratch: Path, gdb_minimal: Path
) -> None:
    core = crash(programs, scratch, "segv")
    expected = run_documented_command(core, programs / "asterisk")
    extracting.configure({"gdb": {"program": str(gdb_minimal)}})
    recorded = extract(extracting, core)
    assert frames(section_text(extracting, recorded, Section.BACKTRACE)) == frames(expected)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert "no Python" in recorded.extraction.notes[0]


def test_a_binary_that_was_replaced_since_the_crash_is_reported(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "installed"], check=True)
    core = crash(scratch / "installed", scratch, "segv")
    build(scratch / "installed", "OPTIMIZE=1")
    recorded = extract(extracting, core)
    assert any("another build" in reason for reason in recorded.diagnosis.reasons)


def test_a_kept_core_is_written_out_unchanged(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    core = crash(programs, scratch, "segv", "--megabytes", "20")
    content = core.read_bytes()
    running.start()
    core.rename(spool / "core")
    (recorded,) = running.wait_for_crashes(1)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "astbtd",
            "--config",
            running.configuration,
            "core",
            "latest",
            "--output",
            scratch / "out",
        ],
        check=True,
    )
    assert (scratch / "out").read_bytes() == content
    assert os.stat(running.store.kept_core(recorded.id)).st_mode & 0o777 == 0o600


def test_extract_to_a_directory_stores_nothing(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    core = crash(programs, scratch, "segv")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "astbtd",
            "--config",
            extracting.configuration,
            "extract",
            core,
            "--output",
            scratch / "o",
        ],
        check=True,
    )
    assert {"backtrace.txt", "report.txt", "full.txt"} <= set(os.listdir(scratch / "o"))
    assert not extracting.store.root.exists()
    assert core.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(
    not SandboxUser(_NOBODY, _NOBODY, switched=True).can_read(astbtd.__file__),
    reason="the checkout is closed to others",
)
def test_a_user_can_extract_their_own_core_without_root(programs: Path, scratch: Path) -> None:
    core = crash(programs, scratch, "segv")
    os.chown(core, _NOBODY, _NOBODY)
    os.chown(scratch, _NOBODY, _NOBODY)
    as_nobody = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*as_nobody, sys.executable, "-m", "astbtd", "extract", "--json", core, "--output", scratch / "o"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout)["diagnosis"]["crash_function"] == "do_forward"
    assert (scratch / "o" / "backtrace.txt").stat().st_uid == _NOBODY


def test_extract_newest_selects_by_crash_time_among_files_directories_and_globs(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    (scratch / "dir").mkdir()
    for second, name in enumerate(("core.old", "dir/core.newest", "zzz.older")):
        path = crash(programs, scratch, "segv").rename(scratch / name)
        os.utime(path, (1_700_000_000 + second % 2, 1_700_000_000 + second % 2))
    recorded = extract(extracting, scratch / "dir", "--newest", str(scratch / "core.*"), str(scratch / "zzz.older"))
    assert recorded.core.path == str(scratch / "dir/core.newest")
