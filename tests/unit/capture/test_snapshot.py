"""A snapshot of a running process is a core that describes it, and the process continues to run."""

import os
import subprocess

import pytest

from astbtd.capture import snapshot
from astbtd.capture.live_process import open_process
from astbtd.capture.process_memory import PAGE
from astbtd.capture.snapshot import take_snapshot
from astbtd.elf import headers
from astbtd.elf.core_notes import is_snapshot, read_facts
from astbtd.elf.headers import PT_LOAD
from astbtd.errors import NoRoom
from tests.support.harness import suspend

TEXT = b"a text " + b"in memory"
FEW_BYTES = 16 * PAGE
"""More than the process writes for the first time after the copy was planned and before it is stopped."""


def memory_in(core: int) -> list[bytes]:
    read = headers.file_reader(core)
    segments = headers.read_header(read).segments
    return [read(segment.offset, segment.file_size) for segment in segments if segment.type == PT_LOAD]


@pytest.mark.parametrize("bytes_while_stopped", [0, 64 << 20])
def test_a_snapshot_contains_threads_and_memory(
    threaded: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch, bytes_while_stopped: int
) -> None:
    monkeypatch.setattr(snapshot, "_MAX_BYTES_WHILE_STOPPED", bytes_while_stopped)
    core = os.memfd_create("core")

    with open_process(threaded.pid) as process:
        taken = take_snapshot(process, core, lambda _: None)

    facts = read_facts(core)
    assert (taken.threads, taken.not_stopped) == (4, ())
    assert (facts.process.pid, facts.truncated) == (threaded.pid, False)
    assert is_snapshot(facts)
    assert any(TEXT in memory for memory in memory_in(core))
    assert (taken.bytes_later < FEW_BYTES) == (bytes_while_stopped > 0)
    assert threaded.poll() is None
    os.close(core)


def test_a_process_that_was_stopped_stays_stopped(threaded: "subprocess.Popen[str]") -> None:
    suspend(threaded)
    core = os.memfd_create("core")

    with open_process(threaded.pid) as process:
        take_snapshot(process, core, lambda _: None)

        assert process.is_stopped()
    os.close(core)


def test_without_disk_space_nothing_is_written_and_the_process_continues(threaded: "subprocess.Popen[str]") -> None:
    core = os.memfd_create("core")

    def refuse(size: int) -> None:
        raise NoRoom(f"no room for {size} bytes")

    with open_process(threaded.pid) as process:
        with pytest.raises(NoRoom):
            take_snapshot(process, core, refuse)

        assert not process.is_stopped()
    assert os.fstat(core).st_size == 0
    os.close(core)
