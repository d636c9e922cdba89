"""Each step of the notifications is killed at every change of a file: nothing is lost, at most one mail comes twice."""

import itertools
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_commands import ForkedCommands, Request, forked_commands
from tests.support.notified_installation import Installation, new_crash
from tests.support.smtp_server import SmtpServer, misbehaving_smtp_server

KILLED = -signal.SIGKILL
CRASHES = (6, 7)
STEPS = ("--spool", "--deliver")
PREPARED = {"--spool": (), "--deliver": ("--spool",)}
"""What was done before the step that is killed."""


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with misbehaving_smtp_server() as server:
        yield server


@pytest.fixture
def commands(programs: Path, scratch: Path) -> Iterator[ForkedCommands]:
    with forked_commands(programs, scratch) as commands:
        yield commands


@pytest.mark.parametrize("torn", [False, True], ids=["killed", "torn"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_every_change_of_a_file_loses_nothing_and_repeats_at_most_one_mail(
    commands: ForkedCommands, scratch: Path, server: SmtpServer, step: str, torn: bool
) -> None:
    (scratch / "template").mkdir()
    template = Installation(scratch / "template", server.port)
    template.begin()
    template.add(*map(new_crash, CRASHES))
    for before in PREPARED[step]:
        template.run(before)

    for at in itertools.count(1):
        installation = copy_of(template, scratch / f"attempt-{at}", server)
        code = commands.run(Request(installation.command_line(step), installation.variables, at, torn))
        check_that_all_is_delivered(commands, installation, server, at)
        shutil.rmtree(installation.root)
        if code != KILLED:
            break

    assert code == 0
    assert at > len(CRASHES), "there are changes for each notification"
    print(f"{step} was killed at {at - 1} changes")  # noqa: T201


def copy_of(template: Installation, root: Path, server: SmtpServer) -> Installation:
    """Return the same installation in another directory, of which the server has got nothing yet."""
    shutil.copytree(template.root, root)
    server.mails.clear()
    return Installation(root, server.port)


def check_that_all_is_delivered(
    commands: ForkedCommands, installation: Installation, server: SmtpServer, at: int
) -> None:
    """Check that the next runs deliver what the kill has left, and say nothing about it."""
    assert commands.run(Request(installation.command_line("--spool"), installation.variables)) == 0
    assert installation.deliver(hours=1) == []
    mails = [mail for mail in server.mails if b"fault in function" in mail]
    ids = Counter(re.findall(rb"Message-ID: (\S+)", b"".join(mails)))
    assert len(ids) == len(CRASHES), (at, ids)
    assert sum(ids.values()) <= len(CRASHES) + 1, (at, ids)
    assert all(name <= installation.mark() for name in installation.spool.names()), at
