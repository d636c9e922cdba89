"""Runs the real daemon for integration tests, benchmarks and the demo.

Nothing here sleeps: tests wait for what the daemon reports on its notification socket.
"""

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
from typing import cast

import yaml

from astbtd.model.crash import Crash
from astbtd.sources.collectors.registry import COLLECTORS
from astbtd.store.store import Store

_UNIT_FILE = Path(__file__).parents[2] / "packaging/systemd/astbtd.service"
TIMEOUT = 120.0
"""Seconds after which a wait fails. It is long because a loaded machine is slow."""


class ServiceManager:
    """The receiving end of sd_notify(3), in the place of systemd."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self.states: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.address)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    @property
    def status(self) -> str:
        """The latest status line."""
        lines = [state.removeprefix("STATUS=") for state in self.states if state.startswith("STATUS=")]
        return lines[-1] if lines else ""

    def receive(self, seconds: float) -> bool:
        """Wait for one message. Return False if none came."""
        readable, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        if readable:
            self.states += self._socket.recv(65536).decode().splitlines()
        return bool(readable)


@dataclass
class RunningDaemon:
    """A daemon with a store and a configuration file of its own. `wrapper` is the command that starts it."""

    store: Store
    configuration: Path
    log: Path
    manager: ServiceManager
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start the daemon and wait until it is ready."""
        self.launch()
        self.wait_until(lambda: "READY=1" in self.manager.states, "the daemon to be ready")

    def launch(self) -> None:
        """Start the daemon. Its messages go to `log`, with and without a journald."""
        self.manager.states.clear()
        environment = {
            **os.environ,
            "ASTBTD_LOG_TARGET": "stderr",
            "NOTIFY_SOCKET": self.manager.address,
            **_unit_environment(),
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "astbtd", "run", "--config", str(self.configuration)],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        self.process.send_signal(number)

    def suspend(self) -> None:
        """Stop the daemon as a debugger does, until `resume`."""
        suspend(self.process)

    def resume(self) -> None:
        """Let a suspended daemon continue."""
        self.signal(signal.SIGCONT)

    def reload(self) -> None:
        """Let the daemon read its configuration again, and wait until it has."""
        reloads = self.output().count("configuration reloaded")
        self.signal(signal.SIGHUP)
        self.wait_until(lambda: self.output().count("configuration reloaded") > reloads, "the reload")

    def stop(self) -> int:
        """Stop the daemon as systemd does, and return its exit code."""
        self.signal(signal.SIGTERM)
        code = self.process.wait(TIMEOUT)
        while self.manager.receive(0):
            pass
        return code

    def kill(self) -> None:
        """Send the daemon SIGKILL and wait until it has ended."""
        self.process.kill()
        self.process.wait(TIMEOUT)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write the configuration file. A running daemon reads it after SIGHUP.

        By default the daemon does not watch the collections of this machine, no number of crashes is a crash loop, and
        `nobody` is a user of the PBX.
        """
        asterisk = {"users": ["nobody"], **cast(Mapping[str, object], settings.get("asterisk", {}))}
        collectors: dict[str, list[str]] = {collector.settings_key: [] for collector in COLLECTORS}
        own = {"store": str(self.store.root), "collectors": collectors, "crash_loop": {"crashes": 1000, "within": "1s"}}
        self.configuration.write_text(yaml.safe_dump({**own, **settings, "asterisk": asterisk}))

    def crashes(self) -> list[Crash]:
        """Return the crashes in the store, newest first."""
        return list(self.store.crashes())

    def wait_for_crashes(self, count: int) -> list[Crash]:
        """Wait until at least `count` crashes are recorded and no claim is pending. Return all crashes."""

        def is_settled() -> bool:
            pending = [*self.store.incoming.glob("*.claim"), *self.store.incoming.glob("unnumbered")]
            return not pending and len(self.store.ids()) >= count

        self.wait_until(is_settled, f"{count} crashes to be collected")
        return self.crashes()

    def wait_for_objects(self) -> None:
        """Wait until the objects of the running Asterisk are kept."""
        self.wait_until((self.store.incoming / "running-objects").exists, "the objects to be kept")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds. It is evaluated after each message of the daemon, and every second.

        After the daemon has ended, it is evaluated once more; it may start the daemon again.
        """
        deadline = time.monotonic() + TIMEOUT
        while True:
            process, exit_code = self.process, self.process.poll()
            if condition():
                return
            has_ended = exit_code is not None and self.process is process
            if has_ended or time.monotonic() > deadline:
                raise AssertionError(
                    f"timeout waiting for {what} (exit {exit_code}, {self.manager.status!r}): {self.output()}"
                )
            self.manager.receive(1.0)

    def wait_until_quiet(self) -> None:
        """Wait until the daemon has sent no message for two seconds."""
        while self.manager.receive(2.0):
            pass

    def output(self) -> str:
        """Return all that the daemon wrote to its log."""
        return self.log.read_text()


def _unit_environment() -> dict[str, str]:
    """Return the environment variables that the unit file sets."""
    pairs = (setting.partition("=") for setting in unit_settings("Environment"))
    return {name: value for name, _, value in pairs}


def unit_settings(name: str) -> list[str]:
    """Return the value of each line in the daemon's unit file that sets `name`."""
    return re.findall(rf"^{name}=(.+)$", _UNIT_FILE.read_text(), re.MULTILINE)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Create a temporary directory that other users may search, as they may Asterisk's directories."""
    with tempfile.TemporaryDirectory(prefix="astbtd-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@contextmanager
def daemon(directory: Path, settings: Mapping[str, object]) -> Iterator[RunningDaemon]:
    """Configure a daemon with all its files in `directory`. It is not started; if it runs, it is killed at the end."""
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
    """Lift the limit on the size of cores, which sudo sets to 0. Raise RuntimeError if that is not permitted."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError) as error:
        if hard_limit == 0:
            raise RuntimeError("no cores are permitted, and root may not permit them (ulimit -Hc)") from error


def crash(programs: Path, directory: Path, *arguments: str, program: str = "asterisk", user: str | None = None) -> Path:
    """Run a program of tests/programs that crashes in `directory`, as `user` or as ourselves. Return its core."""
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
def running_asterisk(
    programs: Path, directory: Path, *options: str, user: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an Asterisk that waits in `directory`, as `user` or as ourselves, until the end of the block."""
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


def suspend(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Send a child process SIGSTOP and wait until all its threads have stopped: they run on until one receives it."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def end_by_signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a process a signal and wait until it has ended."""
    process.send_signal(number)
    process.wait()


def process_state(pid: int) -> str:
    """Return the state of a process as proc(5) abbreviates it: R for running, S for sleeping, T for stopped, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def collect_kept(running: RunningDaemon, programs: Path, spool: Path) -> Crash:
    """Start the daemon, crash a program, and stop the daemon when its core is kept. Return the record."""
    running.start()
    crash(programs, spool, "segv")
    running.wait_for_crashes(1)
    running.wait_until(lambda: running.crashes()[0].core.state == "kept", "the core to be kept")
    running.stop()
    return running.crashes()[0]
