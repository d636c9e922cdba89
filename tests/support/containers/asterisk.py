"""Debian's Asterisk in a container: driven through its console, crashed through a module of our own."""

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
    """The ways to crash that the module offers, by the word that its console command takes."""

    SEGV = "segv"
    ABORT = "abort"
    DOUBLE_FREE = "double-free"
    SMASH = "smash"


class Scene(Enum):
    """The ways to wait for locks that the other module offers, by the word that its console command takes."""

    TWO_MUTEXES = "two-mutexes"
    THREE_MUTEXES = "three-mutexes"
    MUTEX_AND_RWLOCK = "mutex-and-rwlock"
    CHANNELS_AND_MUTEX = "channels-and-mutex"
    EXITED_OWNER = "exited-owner"
    SLOW_OWNER = "slow-owner"
    SLOW_READER = "slow-reader"
    CONTEND = "contend"
    REST = "rest"


@dataclass(frozen=True)
class Asterisk:
    """The Asterisk that a container's asterisk.service runs."""

    container: Container

    def install_crash_module(self) -> None:
        """Build the module against this Asterisk's own headers; it is loaded from the next start on, and now."""
        self._install(CRASH_MODULE, "res_astbtd_crash.so")

    def install_lock_module(self) -> None:
        """The same for the module whose threads wait for locks."""
        self._install(LOCK_MODULE, "res_astbtd_locks.so")

    def console(self, command: str) -> str:
        """What the console prints for a command."""
        return self.container.run("asterisk", "-rx", command).stdout

    def play(self, scene: Scene) -> None:
        """Let threads wait for locks, as they do from when this returns on."""
        self.console(f"astbtd lock {scene.value}")

    def restart(self) -> None:
        """Start it again, however often that was done lately; what waited for locks is gone, and leaves no core."""
        self.container.run("systemctl", "kill", "--signal=KILL", UNIT)
        self.container.run("systemctl", "reset-failed", UNIT)
        self.container.run("systemctl", "restart", UNIT)

    def start_in(self, directory: str) -> None:
        """Start it again, in another working directory."""
        drop_in = f"[Service]\nWorkingDirectory={directory}\n"
        self.container.write(f"/etc/systemd/system/{UNIT}.d/directory.conf", drop_in)
        self.container.run("systemctl", "daemon-reload")
        self.container.run("systemctl", "restart", UNIT)

    def crash(self, how: Crash) -> int:
        """Crash, and return the process id of the Asterisk that died, once systemd has started the next one."""
        died = self.main_pid()
        self.container.run("asterisk", "-rx", f"astbtd crash {how.value}", check=False)
        return self._replaced(died)

    def die(self) -> int:
        """The same without the module: of a signal that somebody sends."""
        died = self.main_pid()
        self.container.run("kill", "-SEGV", str(died))
        return self._replaced(died)

    def deadlock(self) -> None:
        """Two threads, each holding the lock that the other waits for."""
        self.console("astbtd deadlock")

    def _install(self, sources: Path, module: str) -> None:
        there = f"/usr/src/{sources.name}"
        self.container.copy_in(sources, there)
        self.container.run("make", f"--directory={there}", "install")
        self.console(f"module load {module}")

    def _replaced(self, died: int) -> int:
        wait_until(lambda: self.main_pid() not in (0, died) and self.is_active(), f"{UNIT} starts again")
        return died

    def is_active(self) -> bool:
        """Whether systemd holds Asterisk for started, which Asterisk itself reports to it."""
        return self.container.run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "active"

    def main_pid(self) -> int:
        """Asterisk's process id inside the container; 0 while none runs."""
        return int(self.container.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout)
