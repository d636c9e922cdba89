"""Children inherit nothing, are killed in time, and leave no processes behind."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, Interrupted
from astbtd.lib import subprocesses
from astbtd.model.crash import ExtractionOutcome

TIMEOUT = 60.0

_ASKING = """
import os
for question in b"1", b"2":
    os.write({0}, question)
    os.write(1, os.read({0}, 100))
os.write({0}, b"3")
"""

MakeFile = Callable[[bytes], int]


def shell(script: str, output: int, **options: object) -> subprocesses.Finished:
    return subprocesses.run(["sh", "-c", script], **{"timeout": TIMEOUT, "output": output, **options})  # type: ignore[arg-type]


def written(output: int) -> str:
    return os.pread(output, 1 << 16, 0).decode()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("script", "status", "ended"),
    [
        ("exit 0", 0, ExtractionOutcome.OK),
        ("exit 3", 3, ExtractionOutcome.FAILED),
        ("kill -SEGV $$", -11, ExtractionOutcome.KILLED),
    ],
)
def test_the_outcome_of_a_child(memory_file: MakeFile, script: str, status: int, ended: ExtractionOutcome) -> None:
    finished = shell(script, memory_file(b""))

    assert (finished.status, finished.ended) == (status, ended)


def test_output_and_errors_go_to_one_descriptor(memory_file: MakeFile) -> None:
    output = memory_file(b"")

    shell("echo out; echo err >&2", output)

    assert written(output) == "out\nerr\n"


def test_requests_of_a_child_are_served_until_the_server_ends(memory_file: MakeFile) -> None:
    ours, theirs = socket.socketpair()
    asked = []

    def answer() -> bool:
        asked.append(ours.recv(4096))
        ours.send(b"answer\n")
        return len(asked) < 2

    output = memory_file(b"")
    with ours, theirs:
        finished = subprocesses.run(
            [sys.executable, "-c", _ASKING.format(theirs.fileno())],
            timeout=TIMEOUT,
            output=output,
            pass_fds=(theirs.fileno(),),
            serve={ours.fileno(): answer},
        )

    assert finished.ended is ExtractionOutcome.OK
    assert asked == [b"1", b"2"]
    assert written(output) == "answer\nanswer\n"


def test_something_else_is_done_while_a_child_runs(memory_file: MakeFile) -> None:
    with pipe() as (reader, writer):

        def let_it_end() -> None:
            os.write(writer, b"meanwhile\n")

        output = memory_file(b"")
        finished = shell(
            f"read line </proc/self/fd/{reader}; echo $line", output, pass_fds=(reader,), meanwhile=let_it_end
        )

    assert finished.ended is ExtractionOutcome.OK
    assert written(output) == "meanwhile\n"


def test_a_child_that_sends_endless_requests_is_killed_in_time(memory_file: MakeFile) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"asks")
        finished = shell("sleep 60", memory_file(b""), timeout=0.1, serve={ours.fileno(): lambda: True})

    assert finished.ended is ExtractionOutcome.TIMEOUT


def test_a_child_gets_a_minimal_environment_and_the_given_variables(
    memory_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of ours")
    output = memory_file(b"")

    subprocesses.run(["env"], timeout=TIMEOUT, output=output, environment={"JOB": "1"})

    names = {line.split("=")[0] for line in written(output).splitlines()}
    assert names == {*subprocesses.ENVIRONMENT, "JOB"}


def test_a_child_has_no_input_and_another_working_directory(memory_file: MakeFile) -> None:
    output = memory_file(b"")

    shell("cat; pwd", output)

    assert written(output) == "/\n"


def test_a_child_inherits_only_the_given_descriptors(memory_file: MakeFile) -> None:
    output, secret, given = memory_file(b""), memory_file(b"secret"), memory_file(b"given")
    os.set_inheritable(secret, True)

    shell(f"for n in {secret} {given}; do test -e /dev/fd/$n && echo $n; done", output, pass_fds=(given,))

    assert written(output) == f"{given}\n"


def test_a_child_is_killed_after_the_timeout(memory_file: MakeFile) -> None:
    assert shell("sleep 1000", memory_file(b""), timeout=0).ended is ExtractionOutcome.TIMEOUT


def test_a_child_is_killed_when_watch_returns_a_reason(memory_file: MakeFile) -> None:
    finished = shell("sleep 1000", memory_file(b""), watch=lambda: ExtractionOutcome.TOO_MUCH_OUTPUT)

    assert finished.ended is ExtractionOutcome.TOO_MUCH_OUTPUT


def test_a_child_and_its_children_are_killed_when_watch_raises(memory_file: MakeFile) -> None:
    def stop() -> None:
        raise Interrupted("the daemon stops")

    with pipe() as (reader, writer):
        with pytest.raises(Interrupted):
            shell("sleep 1000 & sleep 1000", memory_file(b""), pass_fds=(writer,), watch=stop)

        assert is_closed_everywhere(reader, writer)


def test_children_of_an_ended_child_are_killed(memory_file: MakeFile) -> None:
    with pipe() as (reader, writer):
        shell("sleep 1000 & exit 0", memory_file(b""), pass_fds=(writer,))

        assert is_closed_everywhere(reader, writer)


def is_closed_everywhere(reader: int, writer: int) -> bool:
    """Return whether no other process has the write end of a pipe: once ours is closed, reading reaches the end."""
    ours = os.dup(reader)
    os.dup2(reader, writer)
    try:
        return bool(select.select([ours], [], [], TIMEOUT)[0]) and os.read(ours, 1) == b""
    finally:
        os.close(ours)


def test_a_missing_program_is_reported_with_a_remedy(memory_file: MakeFile) -> None:
    with pytest.raises(AstbtdError, match="cannot run no-such-program: No such file") as caught:
        subprocesses.run(["no-such-program"], timeout=TIMEOUT, output=memory_file(b""))

    assert caught.value.remedy == "install no-such-program"


def test_a_launched_program_may_leave_another_one_running(tmp_path: Path) -> None:
    question, answer = tmp_path / "question", tmp_path / "answer"
    descriptors = []
    for path in (question, answer):
        os.mkfifo(path)
        descriptors.append(os.open(path, os.O_RDWR))  # opening it both ways does not wait for the other side

    status = subprocesses.launch(
        ["sh", "-c", f"(read word <{question}; echo $word >{answer}) & exit 3"], environment={}, wait=TIMEOUT
    )
    os.write(descriptors[0], b"alive\n")

    assert status == 3
    assert select.select([descriptors[1]], [], [], TIMEOUT)[0]
    assert os.read(descriptors[1], 100) == b"alive\n"


def test_launching_reports_a_program_that_cannot_be_started() -> None:
    with pytest.raises(AstbtdError, match="cannot run /nonexistent"):
        subprocesses.launch(["/nonexistent"], environment={}, wait=TIMEOUT)


_WITHOUT_CAP_KILL = ("setpriv", "--bounding-set=-kill", sys.executable, "-c")
_KILLS_IN_TIME = """
import os, sys
from astbtd.lib import subprocesses
as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
output = os.memfd_create("output")
finished = subprocesses.run([*as_nobody, "sleep", "1000"], timeout=2.0, output=output)
print(finished.ended, finished.status)
"""
_CONTINUES = """
import os, signal, subprocess
from astbtd.lib import subprocesses
child = subprocess.Popen(["sh", "-c", "kill -STOP $$; exit 3"], user=65534)
os.waitid(os.P_PID, child.pid, os.WSTOPPED)
subprocesses.send_signal(child.pid, signal.SIGCONT)
print(child.wait())
"""


@pytest.mark.root
@pytest.mark.parametrize(("script", "printed"), [(_KILLS_IN_TIME, "timeout -9"), (_CONTINUES, "3")])
def test_processes_of_other_users_are_signalled_without_cap_kill(script: str, printed: str) -> None:
    done = subprocess.run([*_WITHOUT_CAP_KILL, script], capture_output=True, text=True, check=False, timeout=TIMEOUT)

    assert done.stdout.strip() == printed, done.stderr


@pytest.mark.root
def test_a_process_that_has_ended_cannot_be_signalled() -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    with pytest.raises(ProcessLookupError):
        subprocesses.send_signal(child.pid, signal.SIGCONT)
