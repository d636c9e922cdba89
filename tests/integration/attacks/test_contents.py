"""What a caller puts into the memory of Asterisk forges no report and controls no terminal."""

from pathlib import Path

import pytest

from astbtd.model.crash import Section
from tests.support.attackers import crash_as_asterisk
from tests.support.commands import run_on_terminal, section_text
from tests.support.fake_gdb import QUICK_GDB, use_gdb
from tests.support.harness import RunningDaemon

FORGED = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\r\u202e"
    "\n!@!@!@! thread1.txt !@!@!@!\n"
    "Thread 1 (Thread 0x7 (LWP 1)):\n#0  0x0 in evil () at evil.c:1\n"
    "MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1\nastbtd: Asterisk crashed: forged"
)
"""Terminal control sequences, and texts that look like sections, frames and journal entries."""


@pytest.fixture
def crashed(running: RunningDaemon, programs: Path, spool: Path) -> RunningDaemon:
    """A daemon that has collected the crash of a process with FORGED in its memory."""
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv", "--note", FORGED)
    running.wait_for_crashes(1)
    return running


def test_memory_contents_do_not_mix_up_the_sections(crashed: RunningDaemon) -> None:
    (recorded,) = crashed.crashes()
    assert recorded.diagnosis.crash_function == "do_forward"
    assert recorded.diagnosis.top_frame != "evil"
    assert set(recorded.extraction.sections) <= set(Section)
    for section in (Section.THREAD1, Section.BRIEF, Section.FULL):
        assert section_text(crashed, recorded, section).startswith("$1 = {si_signo = 11")


COMMANDS = [
    ["show"],
    ["list"],
    ["top"],
    *(["show", "--section", section.split(".")[0]] for section in list(Section)[:6]),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_memory_contents_send_no_control_characters_to_a_terminal(crashed: RunningDaemon, arguments: list[str]) -> None:
    output = run_on_terminal(crashed, arguments, NO_COLOR="1")

    assert len(output) > 50
    assert set(output) & {*range(32), 0x7F} <= set(b"\t\r\n")
    assert b"\x9b31m" not in output
    assert "\u202e".encode() not in output
    assert output.count(b"\r") == output.count(b"\r\n")


def test_a_compromised_gdb_sends_no_control_characters_to_a_terminal(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    use_gdb(running, spool, f"{QUICK_GDB}printf '\\033[2J\\033]0;owned\\007\\n'\n")
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)

    for arguments in (["show", "--section", "backtrace"], ["show"]):
        assert b"\x1b" not in run_on_terminal(running, arguments)


def test_memory_contents_forge_no_journal_entry(crashed: RunningDaemon) -> None:
    lines = crashed.output().splitlines()

    assert [line for line in lines if not line.startswith("astbtd: ")] == []
    assert [line for line in lines if "Asterisk crashed" in line] == lines[:1]
    assert "do_forward" in lines[0]
    assert "\x1b" not in crashed.output()
