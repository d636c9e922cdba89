"""Large objects with many names cost little: they are copied once, within a limit, until the daemon is told to stop."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.attackers import ASTERISK
from tests.support.builders import DeadProcess, program
from tests.support.fake_gdb import QUICK_GDB, paused_gdb, use_gdb
from tests.support.harness import TIMEOUT, RunningDaemon

MIB = 1 << 20
LIMIT = 1024 * MIB  # of the copies for one process


def write_object(path: Path, size: int) -> Path:
    """Write a program of the asterisk user that gdb cannot read, with `size` bytes allocated on disk."""
    path.write_bytes(program())
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    path.chmod(0o600)
    shutil.chown(path, ASTERISK)
    return path


def write_core_with_objects(spool: Path, objects: list[Path]) -> None:
    """Put a core that names these objects as mapped into the spool."""
    made = spool.with_name("made")
    made.write_bytes(DeadProcess(mapped=("/usr/sbin/asterisk", *map(str, objects))).core())
    shutil.chown(made, ASTERISK)
    made.rename(spool / "core")


def copies(running: RunningDaemon) -> dict[str, int]:
    """Return the copies of objects that gdb has, with their inode numbers, by name."""
    files = [path for path in running.store.incoming.glob("*.objects/**/*") if path.is_file()]
    return {path.name: path.stat().st_ino for path in files}


def test_an_object_with_ten_names_is_copied_once(running: RunningDaemon, spool: Path) -> None:
    names = [spool.parent / f"app_{number}.so" for number in range(10)]
    write_object(names[0], 300 * MIB)
    for name in names[1:]:
        name.hardlink_to(names[0])

    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        write_core_with_objects(spool, names)
        wait_for_gdb()
        copied = copies(running)

    assert set(copied) == {name.name for name in names}
    assert len(set(copied.values())) == 1


def test_the_copies_for_one_process_are_limited_in_total(running: RunningDaemon, spool: Path) -> None:
    objects = [write_object(spool.parent / f"app_{number}.so", LIMIT * 3 // 8) for number in range(5)]

    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        write_core_with_objects(spool, objects)
        wait_for_gdb()
        copied = copies(running)

    assert set(copied) == {"app_0.so", "app_1.so"}
    (recorded,) = running.wait_for_crashes(1)
    assert {f"gdb could not read {path}" for path in objects[2:]} <= set(recorded.extraction.notes)


@pytest.mark.parametrize("number_of_objects", [1, 3])
def test_a_stop_request_ends_the_copying(
    running: RunningDaemon, spool: Path, scratch: Path, number_of_objects: int
) -> None:
    objects = [spool.parent / f"app_{number}.so" for number in range(number_of_objects)]
    for path in objects:
        write_object(path, 1).write_bytes(program().ljust(8 * MIB, b"x"))
    use_gdb(running, spool, QUICK_GDB)
    running.wrapper = (sys.executable, "-m", "tests.support.faulty_daemon", "stop-while-copying")
    running.environment["FAULT_MARK"] = str(scratch / "mark")
    running.start()

    write_core_with_objects(spool, objects)
    exit_code = running.process.wait(TIMEOUT)

    assert exit_code == 0
    assert running.output().count("copied 1 MiB") == 1
    running.start()
    running.wait_for_crashes(1)
