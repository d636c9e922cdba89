"""Damaged, endless and very many files cost little, and the next real crash is collected."""

import os
import shutil
import signal
import struct
from pathlib import Path

import pytest

from astbtd.elf.headers import FileType
from astbtd.store.record_limits import LARGEST_RECORD
from tests.fuzz import large_cores
from tests.support.attackers import ASTERISK, OTHER_USER, crash_as_asterisk, run_as_asterisk, write_core
from tests.support.builders import FORMS, NT_FILE, PT_NOTE, DeadProcess, Part, elf_file
from tests.support.commands import run_astbtd
from tests.support.fake_gdb import QUICK_GDB, use_gdb
from tests.support.harness import RunningDaemon

FORM = FORMS[0]
MANY = (1 << 32) - 1

MOST_ENTRIES = 20  # on refused files, until the next rescan
REFUSED_FILES = 500
MISSING_OBJECTS = 60_000


def many_mappings() -> bytes:
    """A core whose list of mapped files claims to have 2^32 entries."""
    files = FORM.note(b"CORE", NT_FILE, FORM.pack("PP", MANY, 4096) + bytes(1 << 16))
    return elf_file(FORM, FileType.CORE, [Part(PT_NOTE, 0, DeadProcess().notes() + files)])


def many_names() -> bytes:
    """A core of Asterisk with the names of 60,000 objects that do not exist."""
    objects = (b"/usr/lib/asterisk/modules/missing_%060d.so" % number for number in range(MISSING_OBJECTS - 1))
    names = b"\0".join([b"/usr/sbin/asterisk", *objects, b""])
    mapped = FORM.pack("PP", MISSING_OBJECTS, 4096) + FORM.pack("PPP", 0, 1, 0) * MISSING_OBJECTS + names
    notes = FORM.note(b"CORE", NT_FILE, mapped) + DeadProcess(without=(NT_FILE,)).notes()
    return elf_file(FORM, FileType.CORE, [Part(PT_NOTE, 0, notes)])


def endless_note() -> bytes:
    """A core with a note that claims to be larger than the file."""
    return elf_file(FORM, FileType.CORE, [Part(PT_NOTE, 0, struct.pack("<III", 5, MANY, NT_FILE) + b"CORE\0\0\0\0")])


DAMAGED = {
    "very many segments": elf_file(FORM, FileType.CORE, [], count=0xFFFF, sections=64).ljust(108, b"\0") + b"\xff" * 64,
    "very many files": many_mappings(),
    "an endless note": endless_note(),
    "a table beyond the end of the file": FORM.header(FileType.CORE, 1000, table=1 << 61),
    "a truncated header": FORM.header(FileType.CORE, 0)[:20],
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_core_with_huge_counts_in_its_headers_does_not_block(
    running: RunningDaemon, spool: Path, content: bytes
) -> None:
    use_gdb(running, spool, QUICK_GDB)
    running.start()
    bad = spool.with_name("bad")
    bad.write_bytes(content)
    shutil.chown(bad, ASTERISK)
    bad.rename(spool / "core.bad")

    write_core(spool / "core", 1)
    running.wait_until(lambda: 1 in {crash.process.pid for crash in running.crashes()}, "the crash")


def test_the_record_of_a_core_that_names_very_many_files_can_be_read(running: RunningDaemon, spool: Path) -> None:
    use_gdb(running, spool, QUICK_GDB)
    running.start()
    unwatched = spool.with_name("many")
    unwatched.write_bytes(many_names())
    shutil.chown(unwatched, ASTERISK)
    unwatched.rename(spool / "core")

    (crash,) = running.wait_for_crashes(1)

    assert (running.store.directory(crash.id) / "crash.json").stat().st_size <= LARGEST_RECORD
    assert any("more files than are looked at" in note for note in crash.extraction.notes), crash.extraction.notes
    shown = run_astbtd(running, "show", "--json", crash.id)
    assert shown.returncode == 0, shown.stderr


def test_programs_that_are_made_up_in_a_core_do_not_block(running: RunningDaemon, spool: Path) -> None:
    use_gdb(running, spool, QUICK_GDB)
    running.start()
    unwatched = spool.with_name("many")
    unwatched.write_bytes(large_cores.of_images(16 << 20))
    shutil.chown(unwatched, ASTERISK)
    unwatched.rename(spool / "core.many")
    write_core(spool / "core", 1)

    recorded = running.wait_for_crashes(2)

    assert 1 in {crash.process.pid for crash in recorded}


def test_a_sparse_core_of_ten_terabytes_is_refused(running: RunningDaemon, spool: Path) -> None:
    use_gdb(running, spool, QUICK_GDB)
    running.start()
    huge = write_core(spool.with_name("huge"), 1)
    os.truncate(huge, 10 << 40)
    huge.rename(spool / "core.huge")
    running.wait_until(lambda: "core.huge is ignored: it is larger than any core" in running.output(), "the refusal")

    write_core(spool / "core", 2)
    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [2]


def test_fifos_sockets_and_devices_are_refused(running: RunningDaemon, programs: Path, spool: Path) -> None:
    run_as_asterisk("mkfifo", spool / "core.fifo")
    bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    run_as_asterisk("/usr/bin/python3", "-c", bind, spool / "core.socket")
    for device in ("zero", "tty", "random", "watchdog"):
        run_as_asterisk("ln", "-s", f"/dev/{device}", spool / f"core.{device}")
    os.mknod(spool / "core.device", 0o20666, os.makedev(1, 5))
    before = sorted(os.listdir(spool))
    running.start()

    crash_as_asterisk(programs / "asterisk", spool, "segv")

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert sorted(os.listdir(spool)) == before
    assert running.output().count("it is not a regular file") == len(before)


def test_refused_files_of_other_users_suppress_no_entry_about_the_pbx(running: RunningDaemon, spool: Path) -> None:
    running.start()
    for number in range(MOST_ENTRIES + 1):
        bad = spool.with_name("bad")
        bad.write_bytes(DAMAGED["very many segments"])
        shutil.chown(bad, OTHER_USER)
        bad.rename(spool / f"core.{number}")
    running.wait_until(lambda: running.output().count("is ignored") == MOST_ENTRIES, "the entries of the other user")

    bad.write_bytes(DAMAGED["very many segments"])
    shutil.chown(bad, ASTERISK)
    bad.rename(spool / "core.of-the-pbx")

    running.wait_until(lambda: "core.of-the-pbx is ignored" in running.output(), "the entry about the PBX")


def test_many_refused_files_cause_few_journal_entries(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.start()
    for number in range(REFUSED_FILES):
        bad = spool / f"core.{number}"
        bad.write_bytes(DAMAGED["very many segments"])
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)

    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}})
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "suppressed" in running.output(), "the number of suppressed entries")

    assert running.output().count("is ignored") == MOST_ENTRIES
    assert f"{REFUSED_FILES - MOST_ENTRIES} more entries about ignored files" in running.output()
    assert len(running.output().splitlines()) < MOST_ENTRIES + 10
