"""Children get nothing of ours, are ended in time, and leave nothing behind."""

import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from astbtd.errors import AstbtdError, Interrupted
from astbtd.lib import subprocesses
from astbtd.model.crash import ExtractionOutcome

PATIENCE = 60.0

_ASKING = """
import os
for question in b"1", b"2":
    os.write({0}, question)
    os.write(1, os.read({0}, 100))
os.write({0}, b"3")
"""

MakeFile = Callable[[bytes], int]


def shell(script: str, output: int, **options: object) -> subprocesses.Finished:
    return subprocesses.run(["sh", "-c", script], **{"timeout": PATIENCE, "output": output, **options})  # type: ignore[arg-type]


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
def test_how_a_child_ended(memory_file: MakeFile, script: str, status: int, ended: ExtractionOutcome) -> None:
    finished = shell(script, memory_file(b""))

    assert (finished.status, finished.ended) == (status, ended)


def test_output_and_errors_go_to_one_descriptor(memory_file: MakeFile) -> None:
    output = memory_file(b"")

    shell("echo out; echo err >&2", output)

    assert written(output) == "out\nerr\n"


def test_what_a_child_asks_is_answered_while_it_runs_until_no_more_is_to_be(memory_file: MakeFile) -> None:
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
            timeout=PATIENCE,
            output=output,
            pass_fds=(theirs.fileno(),),
            serve={ours.fileno(): answer},
        )

    assert finished.ended is ExtractionOutcome.OK
    assert asked == [b"1", b"2"]
    assert written(output) == "answer\nanswer\n"


def test_a_child_that_asks_without_end_is_ended_in_time(memory_file: MakeFile) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"asks")
        finished = shell("sleep 60", memory_file(b""), timeout=0.1, serve={ours.fileno(): lambda: True})

    assert finished.ended is ExtractionOutcome.TIMEOUT


def test_a_child_gets_a_minimal_environment_and_what_it_is_given(
    memory_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of ours")
    output = memory_file(b"")

    subprocesses.run(["env"], timeout=PATIENCE, output=output, environment={"JOB": "1"})

    names = {line.split("=")[0] for line in written(output).splitlines()}
    assert names == {*subprocesses.ENVIRONMENT, "JOB"}


def test_a_child_reads_nothing_and_stands_nowhere_of_ours(memory_file: MakeFile) -> None:
    output = memory_file(b"")

    shell("cat; pwd", output)

    assert written(output) == "/\n"


def test_a_child_has_no_descriptor_but_those_it_is_given(memory_file: MakeFile) -> None:
    output, secret, given = memory_file(b""), memory_file(b"secret"), memory_file(b"given")
    os.set_inheritable(secret, True)

    shell(f"for n in {secret} {given}; do test -e /dev/fd/$n && echo $n; done", output, pass_fds=(given,))

    assert written(output) == f"{given}\n"


def test_a_child_that_takes_too_long_is_ended(memory_file: MakeFile) -> None:
    assert shell("sleep 1000", memory_file(b""), timeout=0).ended is ExtractionOutcome.TIMEOUT


def test_a_child_is_ended_for_the_reason_that_the_watch_gives(memory_file: MakeFile) -> None:
    finished = shell("sleep 1000", memory_file(b""), watch=lambda: ExtractionOutcome.TOO_MUCH_OUTPUT)

    assert finished.ended is ExtractionOutcome.TOO_MUCH_OUTPUT


def test_when_the_watch_raises_the_child_and_its_children_are_gone(memory_file: MakeFile) -> None:
    def stop() -> None:
        raise Interrupted("the daemon stops")

    with pipe() as (reader, writer):
        with pytest.raises(Interrupted):
            shell("sleep 1000 & sleep 1000", memory_file(b""), pass_fds=(writer,), watch=stop)

        assert nobody_holds(reader, writer)


def test_children_of_a_child_that_ended_do_not_live_on(memory_file: MakeFile) -> None:
    with pipe() as (reader, writer):
        shell("sleep 1000 & exit 0", memory_file(b""), pass_fds=(writer,))

        assert nobody_holds(reader, writer)


def nobody_holds(reader: int, writer: int) -> bool:
    """Whether no process but ours has a pipe's end for writing: without ours, reading then comes to its end."""
    ours = os.dup(reader)
    os.dup2(reader, writer)
    try:
        return bool(select.select([ours], [], [], PATIENCE)[0]) and os.read(ours, 1) == b""
    finally:
        os.close(ours)


def test_a_program_that_is_not_there_is_said_with_what_helps(memory_file: MakeFile) -> None:
    with pytest.raises(AstbtdError, match="cannot run no-such-program: No such file") as caught:
        subprocesses.run(["no-such-program"], timeout=PATIENCE, output=memory_file(b""))

    assert caught.value.remedy == "install no-such-program"
