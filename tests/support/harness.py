"""Runs the real daemon for integration tests and the demo, and waits for what it says instead of for time to pass."""

import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from astbtd.model.crash import Crash
from astbtd.store.store import Store

_UNIT = Path(__file__).parents[2] / "packaging/systemd/astbtd.service"
PATIENCE = 120.0  # seconds before a wait is given up as failed; a loaded machine is slow, not wrong


class ServiceManager:
    """The receiving end of sd_notify(3): what systemd would see."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self.states: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.address)

    def close(self) -> None:
        """Ends receiving."""
        self._socket.close()

    @property
    def status(self) -> str:
        """The latest status line."""
        lines = [state.removeprefix("STATUS=") for state in self.states if state.startswith("STATUS=")]
        return lines[-1] if lines else ""

    def receive(self, seconds: float) -> bool:
        """Waits for one message; False if none came."""
        readable, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        if readable:
            self.states += self._socket.recv(65536).decode().splitlines()
        return bool(readable)


@dataclass
class RunningDaemon:
    """A daemon that runs on `store` with its own configuration file, started by what `wrapper` says."""

    store: Store
    configuration: Path
    log: Path
    manager: ServiceManager
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Starts it and waits until it says that it is ready."""
        self.launch()
        self.wait_until(lambda: "READY=1" in self.manager.states, "the daemon to be ready")

    def launch(self) -> None:
        """Starts it."""
        self.manager.states.clear()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "astbtd", "run", "--config", str(self.configuration)],
                env={**os.environ, "NOTIFY_SOCKET": self.manager.address, **_unit_environment(), **self.environment},
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stops it as systemd would, and returns its exit code."""
        self.signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        while self.manager.receive(0):
            pass
        return code

    def kill(self) -> None:
        """Kills it without warning."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Writes its configuration; a running daemon uses it after SIGHUP.

        This machine's collections are left out, and however often a test crashes a program, it is no crash loop.
        """
        collectors: dict[str, list[str]] = {"systemd_coredump": [], "apport": [], "abrt": []}
        own = {"store": str(self.store.root), "collectors": collectors, "crash_loop": {"crashes": 1000, "within": "1s"}}
        self.configuration.write_text(yaml.safe_dump({**own, **settings}))

    def crashes(self) -> list[Crash]:
        """What is in its store."""
        return list(self.store.crashes())

    def wait_for_crashes(self, count: int) -> list[Crash]:
        """Waits until so many crashes are collected and their cores settled."""

        def settled() -> bool:
            at_work = [*self.store.incoming.glob("*.claim"), *self.store.incoming.glob("unnumbered")]
            return not at_work and len(self.store.ids()) >= count

        self.wait_until(settled, f"{count} crashes to be collected")
        return self.crashes()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for `condition`, looking again whenever the daemon says something."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            exited = self.process.poll()
            if exited is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"waited in vain for {what} (exit {exited}, {self.manager.status!r}): {self.output()}"
                )
            self.manager.receive(1.0)

    def settle(self) -> None:
        """Waits until it has had nothing to say for two seconds."""
        while self.manager.receive(2.0):
            pass

    def output(self) -> str:
        """What it wrote to its log."""
        return self.log.read_text()


def _unit_environment() -> dict[str, str]:
    """What systemd adds to the environment."""
    settings = re.findall(r"^Environment=(\w+)=(\S+)$", _UNIT.read_text(), re.MULTILINE)
    return dict(settings)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that others may walk through, as Asterisk's directories are."""
    with tempfile.TemporaryDirectory(prefix="astbtd-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@contextmanager
def daemon(directory: Path, settings: Mapping[str, object]) -> Iterator[RunningDaemon]:
    """A configured daemon, not yet started, with all its files in `directory`; ended in any case."""
    manager = ServiceManager(directory)
    running = RunningDaemon(Store(directory / "store"), directory / "astbtd.yaml", directory / "log", manager)
    running.configure(settings)
    try:
        yield running
    finally:
        if hasattr(running, "process") and running.process.poll() is None:
            running.kill()
        manager.close()


def allow_cores() -> None:
    """Lifts the limit on cores, which sudo sets to 0. Raises RuntimeError where that is not permitted."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError) as error:
        if hard == 0:
            raise RuntimeError("cores are forbidden here, and root may not allow them (ulimit -Hc)") from error


def crash(programs: Path, directory: Path, *arguments: str, program: str = "asterisk", user: str | None = None) -> Path:
    """Lets a program of tests/programs crash in `directory`, as `user` or ourselves; returns its core."""
    allow_cores()
    done = subprocess.run(
        [programs / program, *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        user=user,
    )
    assert done.returncode < 0, f"{program} {arguments} did not crash: {done}"
    return directory / "core"


@contextmanager
def living_asterisk(
    programs: Path, directory: Path, *options: str, user: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """An Asterisk that works in `directory`, as `user` or ourselves, and waits for its end."""
    process = subprocess.Popen(
        [programs / "asterisk", "wait", *options], cwd=directory, stdout=subprocess.PIPE, user=user
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def die_of(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Lets a process die of a signal."""
    process.send_signal(number)
    process.wait()
