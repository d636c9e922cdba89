"""What is no core, is endless or comes in floods costs little, and the next real crash is collected all the same."""

import os
import shutil
import signal
import struct
from pathlib import Path

import pytest

from astbtd.elf.headers import FileType
from tests.integration.attacks.conftest import ASTERISK, SILENT, as_asterisk, crash_as_asterisk, use_gdb, write_core
from tests.support.builders import FORMS, NT_FILE, PT_NOTE, DeadProcess, Part, elf_file
from tests.support.harness import RunningDaemon

FORM = FORMS[0]
MANY = (1 << 32) - 1

MOST_SAID = 20
FLOOD = 500


def many_mappings() -> bytes:
    """A core whose list of files claims to go on for ever."""
    files = FORM.note(b"CORE", NT_FILE, FORM.pack("PP", MANY, 4096) + bytes(1 << 16))
    return elf_file(FORM, FileType.CORE, [Part(PT_NOTE, 0, DeadProcess().notes() + files)])


def endless_note() -> bytes:
    """A core with a note that is said to be larger than any file."""
    return elf_file(FORM, FileType.CORE, [Part(PT_NOTE, 0, struct.pack("<III", 5, MANY, NT_FILE) + b"CORE\0\0\0\0")])


DAMAGED = {
    "very many segments": elf_file(FORM, FileType.CORE, [], count=0xFFFF, sections=64).ljust(108, b"\0") + b"\xff" * 64,
    "very many files": many_mappings(),
    "a note without end": endless_note(),
    "a table beyond the file": FORM.header(FileType.CORE, 1000, table=1 << 61),
    "nothing but its first bytes": FORM.header(FileType.CORE, 0)[:20],
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_core_that_claims_to_be_huge_holds_nothing_up(running: RunningDaemon, spool: Path, content: bytes) -> None:
    use_gdb(running, spool, SILENT)
    running.start()
    bad = spool.with_name("bad")
    bad.write_bytes(content)
    shutil.chown(bad, ASTERISK)
    bad.rename(spool / "core.bad")

    write_core(spool / "core", 1)
    running.wait_until(lambda: 1 in {crash.process.pid for crash in running.crashes()}, "the crash")


def test_a_core_of_ten_terabytes_of_nothing_is_not_compressed_for_ever(running: RunningDaemon, spool: Path) -> None:
    use_gdb(running, spool, SILENT)
    running.start()
    huge = write_core(spool.with_name("huge"), 1)
    os.truncate(huge, 10 << 40)
    huge.rename(spool / "core.huge")
    running.wait_until(lambda: "core.huge is left alone: it is larger than any core" in running.output(), "the refusal")

    write_core(spool / "core", 2)
    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [2]


def test_what_is_no_file_is_neither_waited_for_nor_set_off(running: RunningDaemon, programs: Path, spool: Path) -> None:
    as_asterisk("mkfifo", spool / "core.fifo")
    bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    as_asterisk("/usr/bin/python3", "-c", bind, spool / "core.socket")
    for device in ("zero", "tty", "random", "watchdog"):
        as_asterisk("ln", "-s", f"/dev/{device}", spool / f"core.{device}")
    os.mknod(spool / "core.device", 0o20666, os.makedev(1, 5))
    before = sorted(os.listdir(spool))
    running.start()

    crash_as_asterisk(programs / "asterisk", spool, "segv")

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert sorted(os.listdir(spool)) == before
    assert running.output().count("it is no regular file") == len(before)


def test_a_flood_of_files_that_are_refused_floods_no_journal(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    for number in range(FLOOD):
        bad = spool / f"core.{number}"
        bad.write_bytes(DAMAGED["very many segments"])
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)

    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}})
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "too many to be said" in running.output(), "the rest to be counted")

    assert running.output().count("is left alone") == MOST_SAID
    assert f"{FLOOD - MOST_SAID} more entries on files left alone" in running.output()
    assert len(running.output().splitlines()) < MOST_SAID + 10
