"""Names that an attacker chooses, of programs, directories, files and processes, are never executed or followed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd.model.crash import CRASH_ID, Crash, Section
from tests.support.attackers import ASTERISK, crash_as_asterisk, run_as_asterisk, write_core
from tests.support.commands import section_text
from tests.support.harness import RunningDaemon, crash, end_by_signal, running_asterisk

COMPUTED = str(6 * 7007007)
"""A result that no name contains, but that appears if one is evaluated."""

NAMES = {
    "a command of gdb's": "x\noutput 6*7007007\n",
    "gdb's Python": "x\npython print(6*7007007)\n",
    "gdb's shell": "x\nshell expr 6 '*' 7007007\n",
    "a shell": "$(expr 6 '*' 7007007)`expr 6 '*' 7007007`;expr 6 '*' 7007007|cat&",
    "quotes": '\'"\\ \\" x',
    "an option": "--args -x -ex",
    "a line of the journal": "x\nMESSAGE=forged\nastbtd: forged",
    "a process's state": "x) R 1 (\n) Z 1",
    "terminal control sequences": "x\x1b[2J\x1b]0;forged\x07",
    "not UTF-8": os.fsdecode(b"x\xff\xfe\xc3"),
}


def texts(running: RunningDaemon, recorded: Crash) -> dict[str, str]:
    """Return all files of a crash except its core."""
    directory = running.store.directory(recorded.id)
    return {path.name: path.read_text(errors="replace") for path in directory.iterdir() if path.suffix != ".zst"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_the_name_of_the_program_is_not_executed(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, name: str
) -> None:
    program = spool.parent / name
    shutil.copy(programs / "asterisk", program)
    running.start()

    crash_as_asterisk(program, spool, "segv", "--modules", str(programs / "modules"))
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.process.executable == os.fsencode(program).decode(errors="replace").replace("\ufffd", "?")
    assert {file for file, content in texts(running, recorded).items() if COMPUTED in content} == set()
    assert recorded.diagnosis.signal == "SIGSEGV"
    assert [line for line in running.output().splitlines() if not line.startswith("astbtd: ")] == []
    assert "\x1b" not in running.output()
    assert set(os.listdir(scratch)) == {"asterisk", "astbtd.yaml", "log", "notify", "store"}


def test_a_process_name_that_looks_like_a_process_state_hides_no_asterisk(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir()
    shutil.chown(elsewhere, ASTERISK)
    bystander = elsewhere / "x) R 1 (\n"
    shutil.copy(programs / "bystander", bystander)
    running.configure({})
    other = subprocess.Popen([bystander, "wait"], cwd=elsewhere, user=ASTERISK, stdout=subprocess.DEVNULL)
    with running_asterisk(programs, elsewhere, user=ASTERISK) as asterisk:
        running.start()
        end_by_signal(asterisk, signal.SIGSEGV)
        (recorded,) = running.wait_for_crashes(1)
    other.kill()
    other.wait()
    assert recorded.process.pid == asterisk.pid


def test_names_of_cores_do_not_escape_from_the_store(running: RunningDaemon, scratch: Path, spool: Path) -> None:
    running.start()
    for pid, name in enumerate(("..%2f..%2fetc%2fpasswd", "core...", ".astbtd.20261122T120000Z-1-aaaaaa", "-rf"), 1):
        write_core(spool / name, pid)
        running.wait_for_crashes(pid)
    running.stop()  # a running daemon may be replacing a record, under a temporary name

    made = [path.relative_to(running.store.root).parts for path in running.store.root.rglob("*")]
    assert {parts[1] for parts in made if parts[0] == "crashes" and len(parts) > 1} == set(running.store.ids())
    assert all(CRASH_ID.fullmatch(crash_id) for crash_id in running.store.ids())
    known = {*Section, "crash.json", "report.txt", "core.zst"}
    assert {parts[2] for parts in made if parts[0] == "crashes" and len(parts) > 2} <= known
    assert set(os.listdir(scratch)) == {"asterisk", "astbtd.yaml", "log", "notify", "store"}


def test_links_under_the_file_names_of_collectors_are_not_followed(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    secret = crash(programs, scratch, "segv").rename(scratch / "coredump")
    hostile = {
        "systemd_coredump": (
            r"core.\x2e\x2e\x2f\x2e\x2e\x2fetc.0." + "0f" * 16 + ".1.1",
            "core.a.0." + "0f" * 16 + ".2.2",
        ),
        "apport": ("_usr_sbin_asterisk.0.crash", "core._usr_sbin_asterisk.0.0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f.1.2"),
        "abrt": ("ccpp-2026-11-22-12:00:00-1",),
    }
    for collector, names in hostile.items():
        (scratch / collector).mkdir()
        for name in names:
            (scratch / collector / name).symlink_to(scratch if collector == "abrt" else secret)
    every = {collector: [str(scratch / collector)] for collector in hostile}
    running.configure({"collectors": every, "watch": {"directories": [str(spool)]}})
    running.start()
    crash(programs, spool, "abort")

    assert [crash.diagnosis.signal for crash in running.wait_for_crashes(1)] == ["SIGABRT"]
    assert secret.stat().st_nlink == 1


@pytest.mark.parametrize("verb", ["show", "core", "pin", "unpin"])
def test_ids_on_the_command_line_do_not_escape_from_the_store(
    running: RunningDaemon, scratch: Path, spool: Path, verb: str
) -> None:
    running.start()
    write_core(spool / "core", 1)
    (recorded,) = running.wait_for_crashes(1)
    (scratch / "report.txt").write_text("secret")
    within = recorded.id
    for given in (
        "..",
        "../..",
        str(scratch),
        f"{within}/../../..",
        f"{within}/",
        "../incoming",
        "*",
        "latest/..",
        "\n",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "astbtd", "--config", running.configuration, verb, given],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (3, ""), given


def test_shell_characters_in_directory_names_are_not_executed(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    spool = scratch / "$(touch owned);`touch owned`|touch owned&\ntouch owned"
    spool.mkdir()
    shutil.chown(spool, ASTERISK)
    running.configure({"watch": {"directories": [str(spool)]}})
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    (recorded,) = running.wait_for_crashes(1)

    assert "do_forward" in section_text(running, recorded, Section.BACKTRACE)
    assert run_as_asterisk("find", scratch, "-name", "owned", check=False).stdout == ""
