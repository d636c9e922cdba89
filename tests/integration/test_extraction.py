"""What gdb gives: the documentation's text, in sections, by an unprivileged gdb within its limits."""

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
from tests.integration.conftest import build, extract, text
from tests.support.documented import COMMANDS, frames
from tests.support.harness import RunningDaemon, crash

_NOBODY = 65534
_THREAD = re.compile(r"^Thread \d+ \(", re.MULTILINE)


@pytest.fixture(scope="module", params=["debug", "optimized", "stripped"])
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs as different builds, in a directory that gdb's user cannot enter."""
    options = {"debug": [], "optimized": ["OPTIMIZE=1"], "stripped": ["OPTIMIZE=1", "STRIP=1"]}
    return build(tmp_path_factory.mktemp(request.param), *options[request.param])


def documented(core: Path, program: Path) -> str:
    """What the documentation's command prints."""
    printed = subprocess.run(
        ["gdb", "-se", program, *COMMANDS, "-c", core], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return printed.stdout.decode(errors="replace")


def test_the_backtrace_is_what_the_documentations_command_prints_and_bt(
    extracting: RunningDaemon, variant: Path, scratch: Path
) -> None:
    core = crash(variant, scratch, "segv")
    expected = documented(core, variant / "asterisk")
    recorded = extract(extracting, core)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert frames(text(extracting, recorded, Section.BACKTRACE)) == frames(expected)


def test_the_five_files_of_issue_triage_hold_what_their_names_say(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    recorded = extract(extracting, crash(programs, scratch, "segv"))
    threads = {
        section: len(_THREAD.findall(text(extracting, recorded, section)))
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
    assert "si_signo = 11" in text(extracting, recorded, Section.BRIEF)
    for section in (Section.INFO, Section.LOCKS):
        assert "Version: 22.10.0-astbtd\n" in text(extracting, recorded, section)
        assert "All build options: DONT_OPTIMIZE" in text(extracting, recorded, section)
        assert "\nStarted: " in text(extracting, recorded, section)


def test_memory_of_the_crashed_process_cannot_forge_a_section(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    recorded = extract(extracting, crash(programs, scratch, "segv", "--note", "\n#0  0x0 in evil () at evil.c:1\n"))
    assert recorded.diagnosis.crash_function == "do_forward"
    assert "evil" not in text(extracting, recorded, Section.INFO)
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
def test_each_way_to_crash_is_recognised(
    extracting: RunningDaemon, programs: Path, scratch: Path, mode: str, signal: str, function: str, corruption: str
) -> None:
    diagnosis = extract(extracting, crash(programs, scratch, mode)).diagnosis
    assert (diagnosis.signal, diagnosis.crash_function, diagnosis.memory_corruption) == (signal, function, corruption)


def test_the_same_bug_has_the_same_signature_in_another_process(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    first = extract(extracting, crash(programs, scratch, "segv"))
    second = extract(extracting, crash(programs, scratch, "segv", "--threads", "20"))
    assert first.signature.id == second.signature.id
    assert (first.signature.occurrence, second.signature.occurrence) == (1, 2)
    assert second.signature.first_seen == first.crashed_at


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs as most people run them."""
    return build(tmp_path_factory.mktemp("optimised"), "OPTIMIZE=1")


@pytest.mark.parametrize("mode", ["segv", "abort", "double-free", "smash"])
def test_the_same_bug_has_the_same_signature_with_and_without_optimisation(
    extracting: RunningDaemon, programs: Path, optimized: Path, scratch: Path, mode: str
) -> None:
    first = extract(extracting, crash(programs, scratch, mode))
    second = extract(extracting, crash(optimized, scratch, mode))
    assert second.diagnosis.optimized
    assert first.signature.text == second.signature.text


def test_a_gdb_without_python_falls_back_to_the_documentations_command(
    extracting: RunningDaemon, programs: Path, scratch: Path, gdb_minimal: Path
) -> None:
    core = crash(programs, scratch, "segv")
    expected = documented(core, programs / "asterisk")
    extracting.configure({"gdb": {"program": str(gdb_minimal)}})
    recorded = extract(extracting, core)
    assert frames(text(extracting, recorded, Section.BACKTRACE)) == frames(expected)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert "no Python" in recorded.extraction.notes[0]


def test_a_binary_that_was_replaced_since_the_crash_is_pointed_out(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "installed"], check=True)
    core = crash(scratch / "installed", scratch, "segv")
    build(scratch / "installed", "OPTIMIZE=1")
    recorded = extract(extracting, core)
    assert any("another build" in reason for reason in recorded.diagnosis.reasons)


def test_a_core_that_was_kept_can_be_written_out_again_unchanged(
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


def test_extract_with_output_writes_the_sections_there_and_stores_nothing(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
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
def test_extract_works_without_root_on_a_core_of_ones_own(programs: Path, scratch: Path) -> None:
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


def test_extract_newest_picks_the_newest_by_crash_time_among_files_directories_and_globs(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    (scratch / "dir").mkdir()
    for second, name in enumerate(("core.old", "dir/core.newest", "zzz.older")):
        path = crash(programs, scratch, "segv").rename(scratch / name)
        os.utime(path, (1_700_000_000 + second % 2, 1_700_000_000 + second % 2))
    recorded = extract(extracting, scratch / "dir", "--newest", str(scratch / "core.*"), str(scratch / "zzz.older"))
    assert recorded.core.path == str(scratch / "dir/core.newest")
