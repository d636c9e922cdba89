"""One living process, seen through /proc."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from astbtd.capture import live_process
from astbtd.errors import AstbtdError, NothingMatched


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing."""
    process = subprocess.Popen(["sleep", "infinity"])
    yield process
    process.kill()
    process.wait()


def test_a_stopped_process_is_let_go_on(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)

    with live_process.opened(sleeper.pid) as process:
        assert process.is_stopped()
        live_process.let_go_on(process)
        os.waitid(os.P_PID, sleeper.pid, os.WCONTINUED)
        assert not process.is_stopped()


def test_a_thread_that_does_not_run_is_not_switched(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)

    with live_process.opened(sleeper.pid) as process:
        assert process.threads() == [sleeper.pid]
        assert process.switches().keys() == {sleeper.pid}
        assert process.switches() == process.switches()


def test_a_process_that_ends_is_said_to_have(sleeper: "subprocess.Popen[bytes]") -> None:
    def look_after_its_end() -> None:
        with live_process.opened(sleeper.pid) as process:
            sleeper.kill()
            sleeper.wait()
            process.threads()

    with pytest.raises(AstbtdError, match="has ended"):
        look_after_its_end()


def test_a_zombie_has_ended(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(AstbtdError, match="has ended"), live_process.opened(sleeper.pid):
        pass


def test_no_process_is_no_match() -> None:
    with pytest.raises(NothingMatched), live_process.opened(4194303):
        pass


@pytest.mark.parametrize(
    ("status", "dumping"), [({}, False), ({"CoreDumping": "0"}, False), ({"CoreDumping": "1"}, True)]
)
def test_a_core_that_is_being_written_shows_in_the_status(status: dict[str, str], dumping: bool) -> None:
    assert live_process.is_dumping(status) is dumping
