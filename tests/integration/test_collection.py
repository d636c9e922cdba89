"""The daemon collects the cores of Asterisk, and reports but does not touch all others."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from astbtd.elf.core_notes import file_identity
from astbtd.model.crash import CoreAction, CoreState, DiscoveredBy
from tests.support.builders import DeadProcess, signature_of
from tests.support.commands import extract
from tests.support.fake_gdb import NOT_ALONE, closed_gate, gated_gdb
from tests.support.harness import RunningDaemon, crash


def test_a_core_that_appears_is_recorded_and_moved_into_the_store(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    core = crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.EVENT
    assert recorded.core.path == str(core)
    assert recorded.core.state is CoreState.KEPT
    assert recorded.diagnosis.crash_function == "do_forward"
    assert recorded.asterisk.version == "22.10.0-astbtd"
    assert os.listdir(spool) == []


def test_cores_found_at_the_start_are_processed_newest_first_and_not_by_name(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    for second, name in enumerate(("core.3", "core.1", "core.2")):
        os.rename(crash(programs, spool, "segv"), spool / name)
        os.utime(spool / name, (1_700_000_000 + second, 1_700_000_000 + second))
    running.start()
    crashes = running.wait_for_crashes(3)
    in_order_of_collection = sorted(crashes, key=lambda crash: crash.collected_at)
    assert [Path(crash.core.path).name for crash in in_order_of_collection] == ["core.2", "core.1", "core.3"]
    assert [signature_of(crash).occurrence for crash in in_order_of_collection] == [3, 2, 1]
    assert os.readlink(running.store.root / "latest") == f"crashes/{in_order_of_collection[0].id}"


def test_a_hundred_cores_at_once_are_recorded_newest_first_by_one_gdb_at_a_time(
    running: RunningDaemon, scratch: Path, spool: Path
) -> None:
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(gated_gdb(scratch))}})
    running.start()
    with closed_gate(scratch):
        for number in range(100):  # by crash time all mixed up
            put_core(spool, scratch, pid=number + 1, age=number * 37 % 100)
        running.wait_until(lambda: "99 cores queued" in running.manager.status, "all to be claimed")
    crashes = running.wait_for_crashes(100)

    in_order_of_collection = sorted(crashes, key=lambda crash: crash.collected_at)
    waited = [crash.crashed_at for crash in in_order_of_collection[1:]]
    assert waited == sorted(waited, reverse=True)
    assert [signature_of(crash).occurrence for crash in crashes] == list(range(100, 0, -1))
    assert {crash.core.state for crash in crashes} <= {CoreState.KEPT, CoreState.REMOVED}
    texts = [path.read_text() for path in running.store.root.glob("crashes/*/*.txt")]
    assert len(texts) >= 100
    assert not any(NOT_ALONE in text for text in texts)


def put_core(spool: Path, scratch: Path, *, pid: int, age: int) -> None:
    """Put a complete core into the spool, of a process that crashed `age` seconds ago."""
    core = scratch / "core"
    core.write_bytes(DeadProcess(pid=pid, random=pid.to_bytes(16, "big")).core())
    died = int(time.time()) - age
    os.utime(core, (died, died))
    core.rename(spool / f"core.{pid}")


def test_cores_waiting_at_the_first_start_are_announced_in_one_summary(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    for name in ("core.a", "core.b"):
        os.rename(crash(programs, spool, "segv"), spool / name)
    running.start()
    running.wait_for_crashes(2)
    running.wait_until(lambda: "earlier crash" in running.output(), "the summary")
    assert "2 cores from earlier crashes" in running.output()
    assert "Asterisk crashed" not in running.output()


def test_a_core_found_at_a_later_start_is_announced_like_any_other(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    running.wait_until(lambda: not running.store.is_new, "the first start to be over")
    running.stop()
    crash(programs, spool, "segv")
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.START
    assert "Asterisk crashed: SIGSEGV in do_forward" in running.output()


def test_a_core_of_another_program_is_left_alone_and_reported_once(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    other = crash(programs, spool, "segv", program="bystander").rename(spool / "core.other")
    running.start()
    for _ in range(2):
        crash(programs, spool, "abort")
        running.wait_for_crashes(len(running.crashes()) + 1)
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration reloaded" in running.output(), "the reload")
    assert other.exists()
    assert running.output().count(f"{other} is ignored: it is a core of {programs}/bystander") == 1


def test_a_snapshot_of_a_running_asterisk_is_left_alone_and_does_not_hide_its_later_crash(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    asterisk = subprocess.Popen([programs / "asterisk", "wait"], cwd=spool, stdout=subprocess.PIPE)
    assert asterisk.stdout is not None
    asterisk.stdout.readline()
    subprocess.run(
        ["gdb", "--batch", "-p", str(asterisk.pid), "-ex", f"gcore {spool}/snapshot"], capture_output=True, check=True
    )
    running.wait_until(lambda: "snapshot" in running.output(), "the snapshot to be refused")
    asterisk.send_signal(signal.SIGSEGV)
    asterisk.wait()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.process.pid == asterisk.pid
    assert (spool / "snapshot").exists()


def test_a_core_that_is_copied_into_the_directory_is_collected_when_complete(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    content = crash(programs, scratch, "segv").read_bytes()
    running.start()
    with (spool / "copied").open("wb", buffering=0) as copy:
        copy.write(content[: len(content) // 2])
        crash(programs, spool, "abort")
        running.wait_for_crashes(1)
        copy.write(content[len(content) // 2 :])
    recorded = running.wait_for_crashes(2)
    copied = next(crash for crash in recorded if crash.core.path.endswith("copied"))
    assert not copied.core.truncated
    assert copied.core.size == len(content)


def test_a_core_that_is_moved_into_the_directory_is_collected(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    core = crash(programs, scratch, "segv")
    running.start()
    core.rename(spool / "moved")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.EVENT


def test_a_core_is_not_collected_again_under_another_name(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    content = crash(programs, scratch, "segv").read_bytes()
    running.start()
    (spool / "first").write_bytes(content)
    (recorded,) = running.wait_for_crashes(1)
    running.store.remove(recorded.id)
    (spool / "again").write_bytes(content)
    crash(programs, spool, "abort")
    running.wait_until(lambda: bool(running.crashes()), "the other crash")
    assert [crash.diagnosis.signal for crash in running.wait_for_crashes(1)] == ["SIGABRT"]
    assert (spool / "again").exists()


def test_a_core_that_was_extracted_by_hand_is_not_collected_again(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    core = crash(programs, scratch, "segv")
    running.start()
    extract = [sys.executable, "-m", "astbtd", "--config", str(running.configuration), "extract", str(core)]
    subprocess.run(extract, check=True, capture_output=True)
    core.rename(spool / "core.extracted")
    crash(programs, spool, "abort")
    recorded = running.wait_for_crashes(2)
    assert sorted(crash.core.found for crash in recorded) == [DiscoveredBy.COMMAND, DiscoveredBy.EVENT]
    assert os.listdir(spool) == ["core.extracted"]


def test_a_truncated_core_is_recorded_as_truncated(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    content = crash(programs, scratch, "segv").read_bytes()
    running.start()
    (spool / "cut").write_bytes(content[: len(content) * 3 // 4])
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.truncated
    assert any("truncated" in reason for reason in recorded.diagnosis.reasons)


def test_a_truncated_core_that_is_moved_from_another_file_system_is_recorded_once(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    content = crash(programs, scratch, "segv").read_bytes()
    cut = scratch / "cut"
    cut.write_bytes(content[: len(content) * 3 // 4])
    written = time.time() - 100  # by then it counts as complete
    os.utime(cut, (written, written))
    copy = Path(shutil.copy2(cut, scratch / "copy"))
    running.start()
    cut.rename(spool / "first")
    (recorded,) = running.wait_for_crashes(1)

    moved = copy.rename(spool / "again")
    identity = file_identity(moved.stat())
    running.wait_until(lambda: identity in running.store.collected.all(), "the second file")

    assert [each.id for each in running.wait_for_crashes(1)] == [recorded.id]
    assert extract(running, moved).id == recorded.id


def test_links_and_fifos_are_left_alone(running: RunningDaemon, programs: Path, scratch: Path, spool: Path) -> None:
    core = crash(programs, scratch, "segv")
    os.link(core, spool / "core.linked")
    os.symlink(core, spool / "core.symbolic")
    os.mkfifo(spool / "core.pipe")
    running.start()
    crash(programs, spool, "abort")
    assert [crash.diagnosis.signal for crash in running.wait_for_crashes(1)] == ["SIGABRT"]
    assert sorted(os.listdir(spool)) == ["core.linked", "core.pipe", "core.symbolic"]
    assert running.output().count("is ignored") == 2  # the hard link is refused later: it may be removed soon


def test_action_leave_does_not_change_the_core(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.configure({"watch": {"directories": [str(spool)]}, "cores": {"action": CoreAction.LEAVE.value}})
    running.start()
    core = crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.LEFT
    assert core.stat().st_mode & 0o777 == 0o600
    assert core.stat().st_nlink == 1
    assert not running.store.kept_core(recorded.id).exists()


def test_action_delete_removes_the_core_and_keeps_the_texts(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.configure({"watch": {"directories": [str(spool)]}, "cores": {"action": CoreAction.DELETE.value}})
    running.start()
    core = crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.REMOVED
    assert not core.exists()
    assert (running.store.directory(recorded.id) / "backtrace.txt").exists()
    assert not running.store.kept_core(recorded.id).exists()


def test_a_core_beyond_the_limit_is_removed_and_its_texts_are_kept(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    retention = {"cores": {"size": "1K"}, "every": "1s"}
    running.configure({"watch": {"directories": [str(spool)]}, "retention": retention})
    running.start()
    crash(programs, spool, "segv")
    running.wait_until(lambda: "retention removed 1 core (" in running.output(), "retention")
    (recorded,) = running.crashes()
    assert recorded.core.state is CoreState.REMOVED
    assert not running.store.kept_core(recorded.id).exists()
    assert (running.store.directory(recorded.id) / "backtrace.txt").exists()


def test_without_free_disk_space_a_core_stays_in_place_and_the_status_reports_it(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    full = {"watch": {"directories": [str(spool)]}, "retention": {"minimum_free": "90%"}}
    running.configure(full)
    running.start()
    core = crash(programs, spool, "segv")
    running.wait_until(lambda: "of the disk" in running.manager.status, "the status to report it")
    assert core.exists()
    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}, "retention": {"minimum_free": "0%"}})
    running.signal(signal.SIGHUP)
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.KEPT
    running.wait_until(lambda: "of the disk" not in running.manager.status, "the status to be normal again")
