"""Files that take long to examine neither stop the daemon nor delay its other work, now and at the next start."""

import gzip
import shutil
import signal
import sys
from pathlib import Path

import yaml

from astbtd.elf.headers import FileType, Segment
from tests.support.attackers import ASTERISK, ASTERISK_GROUP, OTHER_USER, write_core
from tests.support.builders import FORMS, PT_NOTE, DeadProcess
from tests.support.commands import run_astbtd
from tests.support.fake_gdb import QUICK_GDB, use_gdb
from tests.support.harness import TIMEOUT, RunningDaemon
from tests.support.packed import FIELDS, report

FORM = FORMS[0]
ZEROS = 64 << 20
CORES_OF_ZEROS = 40
CONTINUATION_LINES = 500_000
GZIP_MEMBERS = 1_000_000


def write_zero_notes(path: Path) -> None:
    """A sparse core with 64 MiB of notes that are all zero."""
    with path.open("wb") as file:
        file.write(FORM.header(FileType.CORE, 1) + FORM.row(Segment(PT_NOTE, 4, 4096, 0, ZEROS)))
        file.truncate(4096 + ZEROS)


def with_fault(running: RunningDaemon, fault: str) -> None:
    running.wrapper = (sys.executable, "-m", "tests.support.faulty_daemon", fault)


def wait_for_examination(running: RunningDaemon, mark: Path) -> None:
    """Start a daemon that hangs in an examination, and wait until it does."""
    running.environment["FAULT_MARK"] = str(mark)
    running.launch()
    running.wait_until(mark.exists, "the examination")


def test_many_sparse_cores_of_zeros_delay_neither_the_start_nor_a_real_core(
    running: RunningDaemon, spool: Path
) -> None:
    use_gdb(running, spool, QUICK_GDB)
    for number in range(CORES_OF_ZEROS):
        write_zero_notes(spool / f"core.{number}")
        shutil.chown(spool / f"core.{number}", ASTERISK)

    running.start()
    write_core(spool / "core", 1)
    running.wait_for_crashes(1)

    assert f"core.{CORES_OF_ZEROS - 1} is ignored" in running.output()
    assert len(list(spool.glob("core.*"))) == CORES_OF_ZEROS
    assert running.stop() == 0


def test_a_report_with_very_many_lines_is_collected(running: RunningDaemon, spool: Path, scratch: Path) -> None:
    reports = scratch / "crash"
    reports.mkdir()
    use_gdb(running, spool, QUICK_GDB)
    settings = yaml.safe_load(running.configuration.read_text())
    settings["collectors"]["apport"] = [str(reports)]
    running.configuration.write_text(yaml.safe_dump(settings))
    lines = "\n".join(["1234567890123456789"] * CONTINUATION_LINES)
    running.start()

    written = scratch / "report"
    written.write_bytes(report(DeadProcess().core(), {**FIELDS, "X": lines}))
    shutil.chown(written, ASTERISK, ASTERISK_GROUP)
    written.rename(reports / "_usr_sbin_asterisk.110.crash")

    (crash,) = running.wait_for_crashes(1)
    assert crash.process.command_line == FIELDS["ProcCmdline"]


def test_a_packed_file_without_content_is_read_within_limits(running: RunningDaemon, spool: Path) -> None:
    with_fault(running, "short-time")
    use_gdb(running, spool, QUICK_GDB)
    running.start()
    empty = spool.with_name("empty")
    empty.write_bytes(gzip.compress(b"") * GZIP_MEMBERS)
    shutil.chown(empty, ASTERISK)
    empty.rename(spool / "core.gz")
    write_core(spool / "core", 1)

    running.wait_for_crashes(1)
    refusal = "core.gz is ignored: reading it takes more than 0.5 s of processor time"
    running.wait_until(lambda: refusal in running.output(), "the refusal")


def test_files_of_a_user_whose_budget_is_used_up_wait_and_those_of_the_pbx_do_not(
    running: RunningDaemon, spool: Path
) -> None:
    with_fault(running, "small-budgets")
    use_gdb(running, spool, QUICK_GDB)
    for name in ("core.1", "core.2"):
        write_zero_notes(spool / name)
        shutil.chown(spool / name, OTHER_USER)
    running.start()

    write_core(spool / "core", 1)

    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [1]
    assert running.output().count("waits for the next full scan") == 1


def test_the_main_loop_goes_on_while_a_file_is_examined(running: RunningDaemon, spool: Path, scratch: Path) -> None:
    with_fault(running, "hang-in-examination")
    running.environment["FAULT_MARK"] = str(scratch / "mark")
    running.start()
    write_core(spool / "core.slow", 1)
    running.wait_until((scratch / "mark").exists, "the examination")

    running.configuration.write_text("unknown: 1\n")
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration rejected" in running.manager.status, "the status")

    assert running.stop() == 0


def test_a_file_whose_examination_has_ended_the_daemon_twice_is_skipped(
    running: RunningDaemon, spool: Path, scratch: Path
) -> None:
    with_fault(running, "hang-in-examination")
    use_gdb(running, spool, QUICK_GDB)
    poison = write_core(spool / "core.slow", 1)
    for attempt in range(2):
        wait_for_examination(running, scratch / f"mark{attempt}")
        running.kill()

    running.environment["FAULT_MARK"] = str(scratch / "mark2")
    running.start()
    write_core(spool / "core", 2)

    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [2]
    assert not (scratch / "mark2").exists()
    assert f"{poison} is skipped: the daemon has ended 2 times while it examined this file" in running.output()
    assert running.stop() == 0
    checked = run_astbtd(running, "fsck")
    assert f"{poison}: it is skipped" in checked.stdout


def test_a_file_whose_examination_has_ended_the_daemon_once_is_examined_again(
    running: RunningDaemon, spool: Path, scratch: Path
) -> None:
    with_fault(running, "hang-in-examination")
    use_gdb(running, spool, QUICK_GDB)
    write_core(spool / "core.slow", 1)
    wait_for_examination(running, scratch / "mark")
    running.kill()

    running.start()  # the mark exists: the fault happens once

    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [1]
    assert list(running.store.incoming.glob("*.examined")) == []


def test_a_core_whose_extraction_has_ended_the_daemon_repeatedly_is_recorded_unexamined(
    running: RunningDaemon, spool: Path
) -> None:
    with_fault(running, "die-in-extraction")
    write_core(spool / "core", 1)
    for _ in range(3):
        running.launch()
        assert running.process.wait(TIMEOUT) == -signal.SIGKILL

    running.start()

    (crash,) = running.wait_for_crashes(1)
    assert any("the daemon has ended 3 times" in reason for reason in crash.diagnosis.reasons)
