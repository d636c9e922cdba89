"""gdb runs no script and opens no file that an attacker provides, and no command starts a pager or a shell."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from astbtd.model.crash import ExtractionOutcome, Section
from tests.support.attackers import ASTERISK, crash_as_asterisk, run_as_asterisk
from tests.support.builders import DeadProcess
from tests.support.commands import run_on_terminal, section_text
from tests.support.fake_gdb import paused_gdb
from tests.support.harness import RunningDaemon

COMPUTED = str(6 * 7007007)
SCRIPT = "print(6 * 7007007)\n"
COMMANDS = "output 6 * 7007007\n"
KEY = "-----BEGIN PRIVATE KEY----- 6f1b"


@pytest.fixture
def hostile(programs: Path, spool: Path) -> Path:
    """An Asterisk that its user built, with scripts in all places where gdb may look for them."""
    built = spool.parent / "built"
    shutil.copytree(programs, built)
    module = built / "modules" / "app_dial.so"
    for directory in (spool, built, module.parent):
        (directory / ".gdbinit").write_text(COMMANDS)
    for program in (built / "asterisk", module):
        for suffix, script in (("-gdb.py", SCRIPT), ("-gdb.gdb", COMMANDS)):
            program.with_name(program.name + suffix).write_text(script)
        section = built / "section"
        section.write_bytes(b"\x01%b\0\x04within\n%b\0" % (os.fsencode(f"{program}-gdb.py"), SCRIPT.encode()))
        add = ["objcopy", f"--add-section=.debug_gdb_scripts={section}", str(program)]
        subprocess.run(add, check=True, capture_output=True)
    subprocess.run(["chown", "-R", ASTERISK, built, spool], check=True)
    return built / "asterisk"


def test_scripts_beside_and_inside_the_programs_are_not_run(running: RunningDaemon, hostile: Path, spool: Path) -> None:
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        core = crash_as_asterisk(hostile, spool, "segv")
        wait_for_gdb()
        trusting_gdb = [
            "gdb",
            "-nx",
            "-batch",
            "-iex",
            "set auto-load safe-path /",
            "-se",
            str(hostile),
            "-c",
            str(core),
        ]
        assert COMPUTED in subprocess.run(trusting_gdb, cwd=spool, capture_output=True, text=True, check=True).stdout

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.diagnosis.crash_function == "do_forward"
    for section in Section:
        if (running.store.directory(recorded.id) / section).exists():
            assert COMPUTED not in section_text(running, recorded, section)


def test_only_programs_among_the_files_that_a_core_names_are_copied(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    key = scratch / "key.so"
    key.write_text(KEY)
    key.chmod(0o600)
    program = scratch / "asterisk-of-root"
    shutil.copy(programs / "asterisk", program)
    program.chmod(0o700)
    mapped = (
        str(program),
        str(key),
        "/etc/shadow",
        "/dev/zero",
        "/proc/kcore",
        str(scratch),
        "/x/app_dial.so",
    )
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        write_core_with_files(spool, mapped)
        wait_for_gdb()
        copied = [path for path in running.store.incoming.rglob("*") if ".objects/" in str(path) and path.is_file()]

    assert [path.name for path in copied] == [program.name]
    files = [path for path in running.store.root.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def write_core_with_files(spool: Path, mapped: tuple[str, ...]) -> None:
    """Put a core that names these files as mapped into the spool."""
    made = spool.with_name("made")
    made.write_bytes(DeadProcess(mapped=mapped).core())
    shutil.chown(made, ASTERISK)
    made.rename(spool / "core")


def test_a_core_that_names_a_fifo_does_not_block_gdb(running: RunningDaemon, spool: Path) -> None:
    run_as_asterisk("mkfifo", spool.parent / "app_dial.so")
    running.start()
    write_core_with_files(spool, ("/usr/sbin/asterisk", str(spool.parent / "app_dial.so")))

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.notes == (
        "gdb could not read /usr/sbin/asterisk",
        f"gdb could not read {spool.parent}/app_dial.so",
    )


@pytest.mark.parametrize("symbols", ["lazy", "all"])
def test_objects_exchanged_after_they_were_checked_are_not_opened_by_gdb(
    running: RunningDaemon, hostile: Path, spool: Path, symbols: str
) -> None:
    run_as_asterisk("chmod", "-R", "go+rX", hostile.parent)
    with paused_gdb(running, spool, extract={"symbols": symbols}) as wait_for_gdb:
        running.start()
        crash_as_asterisk(hostile, spool, "segv")
        wait_for_gdb()
        for name in ("asterisk", "modules/app_dial.so"):
            run_as_asterisk("mkfifo", hostile.parent / f"{name}.fifo")
            run_as_asterisk("mv", hostile.parent / f"{name}.fifo", hostile.parent / name)

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.extraction.ended is ExtractionOutcome.OK
    assert recorded.extraction.symbols == symbols
    assert recorded.diagnosis.crash_function == "do_forward"
    for section in (Section.BACKTRACE, Section.FULL):
        assert re.search(r"[0-9a-f]{16}/", section_text(running, recorded, section)) is None


def test_no_pager_and_no_program_named_in_the_environment_is_started(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    owned = scratch / "owned"
    program = scratch / "program"
    program.write_text(f"#!/bin/sh\necho owned >>{owned}\n")
    program.chmod(0o755)
    owned.touch(mode=0o666)
    owned.chmod(0o666)
    names = ("PAGER", "MANPAGER", "SYSTEMD_PAGER", "LESSOPEN", "EDITOR", "VISUAL", "SHELL", "BROWSER", "GDB")
    hostile = {**dict.fromkeys(names, str(program)), "LINES": "3", "GDBHISTFILE": str(owned)}
    running.environment.update(hostile)
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)

    for words in (["show"], ["list"], ["top"], ["show", "--section", "info"]):
        assert len(run_on_terminal(running, words, **hostile)) > 50

    assert owned.read_text() == ""


def test_files_planted_in_shared_directories_are_not_used(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    victim = scratch / "victim"
    victim.write_text("as it was")
    planted = [
        Path(directory) / name
        for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
        for name in (".gdbinit", "astbtd.lock", "astbtd", ".astbtd", "gdb.log", "backtrace.txt", "core.zst")
    ]
    for path in planted:
        run_as_asterisk("ln", "-s", victim, path)
    try:
        with paused_gdb(running, spool) as wait_for_gdb:
            running.start()
            crash_as_asterisk(programs / "asterisk", spool, "segv")
            wait_for_gdb()
            opened = [os.readlink(path) for path in Path(f"/proc/{running.process.pid}/fd").iterdir()]
        assert {path.is_symlink() for path in planted} == {True}
    finally:
        for path in planted:
            path.unlink(missing_ok=True)

    expected = (
        str(running.store.root),
        str(spool),
        str(running.log),
        "/proc/",
        "/dev/null",
        "pipe:",
        "socket:",
        "anon_inode:",
    )
    assert [path for path in opened if path.startswith("/") and not path.startswith((*expected, "/memfd:"))] == []
    assert victim.read_text() == "as it was"
