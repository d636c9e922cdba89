"""Debian's Asterisk in a container, controlled through its console and crashed by a test module."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.support.containers.container import Container, wait_until

UNIT = "asterisk.service"
WORKING_DIRECTORY = "/var/lib/asterisk"
CORE = f"{WORKING_DIRECTORY}/core"
CRASH_MODULE = Path(__file__).parent / "crash_module"
LOCK_MODULE = Path(__file__).parent / "lock_module"


class Crash(Enum):
    """The ways to crash. The value is the argument of the console command of the test module."""

    SEGV = "segv"
    ABORT = "abort"
    DOUBLE_FREE = "double-free"
    SMASH = "smash"


class Scene(Enum):
    """The ways to wait for locks. The value is the argument of the console command of the lock module."""

    TWO_MUTEXES = "two-mutexes"
    THREE_MUTEXES = "three-mutexes"
    MUTEX_AND_RWLOCK = "mutex-and-rwlock"
    CHANNELS_AND_MUTEX = "channels-and-mutex"
    CHANNEL_AND_MUTEX = "channel-and-mutex"
    EXITED_OWNER = "exited-owner"
    SLOW_OWNER = "slow-owner"
    SLOW_READER = "slow-reader"
    CONTEND = "contend"
    REST = "rest"


@dataclass(frozen=True)
class Asterisk:
    """The Asterisk that asterisk.service runs in a container."""

    container: Container

    def install_crash_module(self) -> None:
        """Build the crash module against the headers of this Asterisk, and load it now and at each start."""
        self._install(CRASH_MODULE, "res_astbtd_crash.so")

    def install_lock_module(self) -> None:
        """Build and load the module whose threads wait for locks."""
        self._install(LOCK_MODULE, "res_astbtd_locks.so")

    def console(self, command: str) -> str:
        """Run a console command and return its output."""
        return self.container.run("asterisk", "-rx", command).stdout

    def play(self, scene: Scene) -> None:
        """Start threads that wait for locks, and return when they do."""
        self.console(f"astbtd lock {scene.value}")

    def restart(self) -> None:
        """Kill Asterisk without a core and start it again, ignoring systemd's start limit."""
        self.container.run("systemctl", "kill", "--signal=KILL", UNIT)
        self.container.run("systemctl", "reset-failed", UNIT)
        self.container.run("systemctl", "restart", UNIT)

    def start_in(self, directory: str) -> None:
        """Restart Asterisk in another working directory."""
        drop_in = f"[Service]\nWorkingDirectory={directory}\n"
        self.container.write(f"/etc/systemd/system/{UNIT}.d/directory.conf", drop_in)
        self.container.run("systemctl", "daemon-reload")
        self.container.run("systemctl", "restart", UNIT)

    def crash(self, how: Crash) -> int:
        """Crash, wait until systemd has started Asterisk again, and return the process id that crashed."""
        crashed = self.main_pid()
        self.container.run("asterisk", "-rx", f"astbtd crash {how.value}", check=False)
        return self._wait_for_restart(crashed)

    def crash_by_signal(self) -> int:
        """Do the same without the module, by a signal from outside."""
        crashed = self.main_pid()
        self.container.run("kill", "-SEGV", str(crashed))
        return self._wait_for_restart(crashed)

    def abort_by_watchdog(self) -> int:
        """Deadlock, and wait until systemd has ended Asterisk because its watchdog was not notified. Return the pid.

        Asterisk never notifies the watchdog, so that every start with this setting ends in this way.
        """
        drop_in = f"/etc/systemd/system/{UNIT}.d/watchdog.conf"
        self.container.write(drop_in, "[Service]\nWatchdogSec=10\n")
        self.container.run("systemctl", "daemon-reload")
        self.restart()
        crashed = self.main_pid()
        self.deadlock()
        self._wait_for_restart(crashed)
        self.container.run("rm", drop_in)
        self.container.run("systemctl", "daemon-reload")
        self.restart()
        return crashed

    def deadlock(self) -> None:
        """Start two threads, each holding the lock that the other waits for."""
        self.console("astbtd deadlock")

    def _install(self, sources: Path, module: str) -> None:
        directory = f"/usr/src/{sources.name}"
        self.container.copy_in(sources, directory)
        self.container.run("make", f"--directory={directory}", "install")
        self.console(f"module load {module}")

    def _wait_for_restart(self, crashed: int) -> int:
        wait_until(lambda: self.main_pid() not in (0, crashed) and self.is_active(), f"{UNIT} starts again")
        return crashed

    def is_active(self) -> bool:
        """Return whether Asterisk has reported to systemd that it has started."""
        return self.container.run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "active"

    def main_pid(self) -> int:
        """Return the process id of Asterisk inside the container; 0 if it does not run."""
        return int(self.container.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout)
