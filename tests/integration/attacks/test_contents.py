"""What a crashed process had in its memory, by the will of whoever called it, forges and steers nothing."""

from pathlib import Path

import pytest

from astbtd.model.crash import Section
from tests.integration.attacks.conftest import SILENT, crash_as_asterisk, on_a_terminal, use_gdb
from tests.integration.conftest import text
from tests.support.harness import RunningDaemon

FORGED = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\r\u202e"
    "\n!@!@!@! thread1.txt !@!@!@!\n"
    "Thread 1 (Thread 0x7 (LWP 1)):\n#0  0x0 in evil () at evil.c:1\n"
    "MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1\nastbtd: Asterisk crashed: forged"
)
"""Of sections, of frames, of journal entries, and commands to a terminal."""


@pytest.fixture
def crashed(running: RunningDaemon, programs: Path, spool: Path) -> RunningDaemon:
    """A daemon that has collected the crash of a process with all of that in its memory."""
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv", "--note", FORGED)
    running.wait_for_crashes(1)
    return running


def test_no_section_has_what_belongs_to_another(crashed: RunningDaemon) -> None:
    (recorded,) = crashed.crashes()
    assert recorded.diagnosis.crash_function == "do_forward"
    assert recorded.diagnosis.top_frame != "evil"
    assert set(recorded.extraction.sections) <= set(Section)
    for section in (Section.THREAD1, Section.BRIEF, Section.FULL):
        assert text(crashed, recorded, section).startswith("$1 = {si_signo = 11")


SHOWN = [["show"], ["list"], ["top"], *(["show", "--section", section.split(".")[0]] for section in list(Section)[:6])]


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_nothing_of_it_steers_a_terminal(crashed: RunningDaemon, words: list[str]) -> None:
    shown = on_a_terminal(crashed, words, NO_COLOR="1")

    assert len(shown) > 50
    assert set(shown) & {*range(32), 0x7F} <= set(b"\t\r\n")
    assert b"\x9b31m" not in shown
    assert "\u202e".encode() not in shown
    assert shown.count(b"\r") == shown.count(b"\r\n")


def test_what_a_gdb_wrote_that_was_taken_over_steers_no_terminal(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    use_gdb(running, spool, f"{SILENT}printf '\\033[2J\\033]0;owned\\007\\n'\n")
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)

    for words in (["show", "--section", "backtrace"], ["show"]):
        assert b"\x1b" not in on_a_terminal(running, words)


def test_nothing_of_it_makes_an_entry_of_the_journal(crashed: RunningDaemon) -> None:
    lines = crashed.output().splitlines()

    assert [line for line in lines if not line.startswith("astbtd: ")] == []
    assert [line for line in lines if "Asterisk crashed" in line] == lines[:1]
    assert "do_forward" in lines[0]
    assert "\x1b" not in crashed.output()
