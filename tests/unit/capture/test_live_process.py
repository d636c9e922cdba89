"""A running process, accessed through /proc."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from astbtd.capture import live_process
from astbtd.errors import AstbtdError, NothingMatched
from tests.support.harness import suspend


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing."""
    process = subprocess.Popen(["sleep", "infinity"])
    yield process
    process.kill()
    process.wait()


def test_a_stopped_process_is_resumed(sleeper: "subprocess.Popen[bytes]") -> None:
    suspend(sleeper)

    with live_process.open_process(sleeper.pid) as process:
        assert process.is_stopped()
        live_process.resume(process)
        os.waitid(os.P_PID, sleeper.pid, os.WCONTINUED)
        assert not process.is_stopped()


def test_a_thread_that_does_not_run_has_no_context_switches(sleeper: "subprocess.Popen[bytes]") -> None:
    suspend(sleeper)

    with live_process.open_process(sleeper.pid) as process:
        assert process.threads() == [sleeper.pid]
        assert process.context_switches().keys() == {sleeper.pid}
        assert process.context_switches() == process.context_switches()


def test_a_process_that_ends_is_reported_as_ended(sleeper: "subprocess.Popen[bytes]") -> None:
    def read_after_its_end() -> None:
        with live_process.open_process(sleeper.pid) as process:
            sleeper.kill()
            sleeper.wait()
            process.threads()

    with pytest.raises(AstbtdError, match="has ended"):
        read_after_its_end()


def test_a_zombie_is_reported_as_ended(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(AstbtdError, match="has ended"), live_process.open_process(sleeper.pid):
        pass


def test_a_missing_process_is_no_match() -> None:
    with pytest.raises(NothingMatched), live_process.open_process(4194303):
        pass


@pytest.mark.parametrize(
    ("status", "dumping"), [({}, False), ({"CoreDumping": "0"}, False), ({"CoreDumping": "1"}, True)]
)
def test_a_core_that_is_being_written_is_seen_in_the_status(status: dict[str, str], dumping: bool) -> None:
    assert live_process.is_dumping(status) is dumping
