"""A recorded crash is extracted again with today's symbols: the better result is kept, whatever happens meanwhile."""

import errno
import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, Section, Verdict
from tests.support.commands import run_astbtd, section_text
from tests.support.debug_files import debug_file, install_debug_files
from tests.support.faults import STAGING, Fault, FaultInjector, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory
from tests.support.store_checks import check_records_are_complete, check_store_is_consistent, kept_content


def collect(running: RunningDaemon, core: Path, spool: Path) -> Crash:
    """Collect a core by a daemon that is then stopped."""
    shutil.copy2(core, spool / "core")
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    running.stop()
    return recorded


def test_a_crash_becomes_usable_when_debug_files_were_installed(
    running: RunningDaemon, stripped: Path, scratch: Path, spool: Path
) -> None:
    before = collect(running, crash(stripped, scratch, "segv"), spool)
    assert before.diagnosis.verdict is not Verdict.USABLE
    assert f"`astbtd extract {before.id}`" in (running.store.directory(before.id) / "report.txt").read_text()
    install_debug_files(stripped, scratch / "debug")

    done = run_astbtd(running, "extract", "latest", environment={"ASTBTD_LOG_TARGET": "stderr"})

    assert (done.returncode, f"backtrace usable, was {before.diagnosis.verdict}" in done.stdout) == (0, True), done
    assert f"the backtrace of crash {before.id} is usable now: SIGSEGV in do_forward" in done.stderr
    after = running.store.load(before.id)
    assert "do_forward (o=" in section_text(running, after, Section.THREAD1)
    assert [run.verdict for run in after.extraction_history] == [before.diagnosis.verdict, Verdict.USABLE]
    assert [run.why for run in after.extraction_history] == ["the core was collected", "astbtd extract"]
    assert after.signature
    assert after.signature.text == "fault in do_forward"
    assert kept_content(running.store, after) == (scratch / "core").read_bytes()
    check_store_is_consistent(running.store)


def test_a_worse_result_is_not_kept(running: RunningDaemon, stripped: Path, scratch: Path, spool: Path) -> None:
    install_debug_files(stripped, scratch / "debug")
    before = collect(running, crash(stripped, scratch, "segv"), spool)
    text = section_text(running, before, Section.BACKTRACE)
    for path in (stripped / "asterisk", *(stripped / "modules").iterdir()):
        debug_file(path).unlink()

    done = run_astbtd(running, "extract", before.id)

    assert done.returncode == 0
    assert "backtrace usable; the new one is worse (" in done.stdout
    after = running.store.load(before.id)
    assert section_text(running, after, Section.BACKTRACE) == text
    assert (after.diagnosis, after.signature) == (before.diagnosis, before.signature)
    assert after.extraction_history[-1].why == "astbtd extract; the result was not kept"
    check_store_is_consistent(running.store)


def test_the_file_of_a_collected_core_is_extracted_again(
    extracting: RunningDaemon, stripped: Path, scratch: Path
) -> None:
    core = crash(stripped, scratch, "segv")
    run_astbtd(extracting, "extract", str(core))
    install_debug_files(stripped, scratch / "debug")

    done = run_astbtd(extracting, "extract", "--json", str(core))

    assert json.loads(done.stdout)["diagnosis"]["verdict"] == "usable"
    (after,) = extracting.crashes()
    assert len(after.extraction_history) == 2
    assert core.exists()


def test_crashes_are_chosen_by_signature_and_by_verdict(
    running: RunningDaemon, stripped: Path, scratch: Path, spool: Path
) -> None:
    before = collect(running, crash(stripped, scratch, "segv"), spool)
    install_debug_files(stripped, scratch / "debug")

    assert run_astbtd(running, "extract", "--signature", "ffffffffffff").returncode == 3
    assert before.id in run_astbtd(running, "extract", "--unusable").stdout
    assert run_astbtd(running, "extract", "--unusable").returncode == 3
    assert run_astbtd(running, "extract").returncode == 2


@pytest.mark.parametrize("error", [None, errno.ENOSPC], ids=["kill", "ENOSPC"])
def test_whichever_change_is_not_made_the_old_result_stands_or_the_new_one_is_complete(
    programs: Path, stripped: Path, scratch: Path, spool: Path, running: RunningDaemon, error: int | None
) -> None:
    before = collect(running, crash(stripped, scratch, "segv"), spool)
    install_debug_files(stripped, scratch / "debug")
    core = (scratch / "core").read_bytes()

    def attempt(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {"retention": {"minimum_free": "0%"}}) as one:
            subprocess.run(["cp", "-a", running.store.root, one.store.root], check=True)
            broken = directory / "broken"
            broken.touch()
            fault = Fault(number, torn=not error, error=error, lasting=broken if error else None)
            faults = FaultInjector(programs, [one.store.root], directory / "calls", STAGING if not error else "")
            done = run_astbtd(one, "extract", "latest", environment=faults.environment(fault))
            check_records_are_complete(one.store)
            stored = one.store.load(before.id)
            verdict = Verdict.USABLE if stored.extraction_history else before.diagnosis.verdict
            assert stored.diagnosis.verdict is verdict, fault
            assert done.returncode in ((-signal.SIGKILL, 0) if not error else (1, 0)), (fault, done.stderr)
            assert "Traceback" not in done.stderr, (fault, done.stderr)
            assert kept_content(one.store, stored) == core
            broken.unlink()
            run_astbtd(one, "fsck")
            assert run_astbtd(one, "extract", "latest").returncode == 0
            assert one.store.load(before.id).diagnosis.verdict is Verdict.USABLE
            check_store_is_consistent(one.store)
            return done.returncode != 0

    assert at_every_change(attempt, step=6 if error else 1) > 5
