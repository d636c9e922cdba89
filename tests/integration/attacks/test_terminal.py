"""No stream of the daemon or of a command has control sequences from names and contents that others choose."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.attackers import crash_as_asterisk, write_core
from tests.support.commands import command_line
from tests.support.harness import RunningDaemon
from tests.support.terminal import CONTROLS, HOSTILE, run_on_terminal

NAME = HOSTILE + os.fsdecode(b"\x9b\xff")
ESCAPED = r"x\x1b[2J\x9b31m\u202ey\u2066\u2028\x07\x7f"

SHOWING = {
    # how a name of others gets into the output: the arguments; {spool} is the directory, {name} the name in it
    "the file that is no core": ["extract", "{spool}/core.{name}"],
    "the file that is not there": ["extract", "{spool}/gone {name}"],
    "the place of the output": ["extract", "--output", "{spool}/core.{name}", "{spool}/core {name}"],
    "the output file that exists": ["bundle", "latest", "--output", "{spool}/core.{name}"],
    "the backtrace that is not there": ["diagnose", "{spool}/gone {name}"],
    "the text that is no backtrace": ["diagnose", "{spool}/core.{name}", "{spool}/core.{name}"],
    "the section": ["show", "--section", "{name}", "latest"],
    "the verb": ["{name}"],
    "the store": ["list", "--store", "{spool}/core.{name}"],
    "the configuration": ["check-config", "--config", "{spool}/gone {name}"],
}
"""Commands that print the name, most of them in an error message with a hint."""

OTHERS = {
    "report": ["show"],
    "core": ["extract", "{spool}/core {name}"],
    "newest core": ["extract", "--newest", "{spool}"],
    "checks": ["check"],
    "table": ["list"],
    "groups": ["top"],
    "path": ["show", "--path"],
    "memory": ["show", "--section", "full"],
    "store": ["fsck"],
}

DOCUMENTS = {
    "list": ["list", "--json"],
    "show": ["show", "--json"],
    "top": ["top", "--json"],
    "check": ["check", "--json"],
    "fsck": ["fsck", "--json"],
    "diagnose": ["diagnose", "--json", "{spool}/core.{name}"],
}


@pytest.fixture
def crashed(running: RunningDaemon, programs: Path, spool: Path) -> RunningDaemon:
    """A daemon that has collected the crash of a program in such a directory, with such text in its memory."""
    program = spool.parent / f"bin {NAME}" / "asterisk"
    program.parent.mkdir()
    shutil.copy(programs / "asterisk", program)
    (spool / f"core.{NAME}").write_text(HOSTILE)
    (spool / f"core.linked {NAME}").symlink_to(spool / f"core.{NAME}")
    running.start()
    crash_as_asterisk(program, spool, "segv", "--modules", str(programs / "modules"), "--note", HOSTILE)
    running.wait_for_crashes(1)
    running.wait_until(lambda: "core.linked" in running.output(), "the message about the link")
    assert running.stop() == 0
    write_core(spool.parent / "made", 7).rename(spool / f"core {NAME}")
    return running


def printed_by(crashed: RunningDaemon, spool: Path, words: list[str]) -> str:
    """Return what a command prints with both streams on a terminal."""
    arguments = [word.replace("{spool}", str(spool)).replace("{name}", NAME) for word in words]
    _, printed = run_on_terminal(command_line(crashed, *arguments), dict(os.environ), both_streams=True)
    return printed.decode(errors="surrogateescape").replace("\r\n", "\n")


def test_no_message_of_the_daemon_and_no_output_of_a_command_has_control_sequences(
    crashed: RunningDaemon, spool: Path
) -> None:
    messages = crashed.output()
    printed = {what: printed_by(crashed, spool, words) for what, words in {**SHOWING, **OTHERS}.items()}

    assert ESCAPED in messages
    assert CONTROLS.search(messages) is None
    assert {what: text for what, text in printed.items() if CONTROLS.search(text)} == {}
    assert {what: printed[what] for what in SHOWING if ESCAPED not in printed[what]} == {}


def test_json_on_a_terminal_is_ascii_without_control_characters(crashed: RunningDaemon, spool: Path) -> None:
    printed = {what: printed_by(crashed, spool, words) for what, words in DOCUMENTS.items()}

    assert {what: text for what, text in printed.items() if not text.isascii() or CONTROLS.search(text)} == {}
    assert HOSTILE in json.loads(printed["show"])["process"]["executable"]
