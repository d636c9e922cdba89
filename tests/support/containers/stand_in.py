"""The test program in the place of Asterisk, as a service of a container whose Debian has no Asterisk."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.containers.asterisk import UNIT, WORKING_DIRECTORY
from tests.support.containers.container import Container, wait_until

_SOURCES = Path(__file__).resolve().parents[2] / "programs"
_PROGRAMS = "/usr/lib/asterisk"
_PID_FILE = "/run/asterisk/asterisk.pid"
_CUE = "/run/asterisk/cue"
_UNIT_FILE = f"""[Service]
ExecStartPre=mkfifo {_CUE}
ExecStart=sh -c "exec /usr/sbin/asterisk --pid-file {_PID_FILE} --hold segv <>{_CUE}"
User=asterisk
RuntimeDirectory=asterisk
WorkingDirectory={WORKING_DIRECTORY}
LimitCORE=infinity
Restart=on-failure
RestartSec=1
"""


@dataclass(frozen=True)
class StandIn:
    """What poses as Asterisk in a container."""

    container: Container

    def install(self) -> None:
        """Builds it, and starts it as the service that Debian's package would bring."""
        run = self.container.run
        self.container.copy_in(_SOURCES, "/usr/src/programs")
        run("make", "--directory=/usr/src/programs", f"BUILD={_PROGRAMS}")
        run("ln", "--symbolic", f"{_PROGRAMS}/asterisk", "/usr/sbin/asterisk")
        run("useradd", "--system", "--user-group", "asterisk")
        run("install", "-d", "-o", "asterisk", "-g", "asterisk", WORKING_DIRECTORY)
        self.container.write(f"/etc/systemd/system/{UNIT}", _UNIT_FILE)
        run("systemctl", "daemon-reload")
        run("systemctl", "start", UNIT)
        wait_until(self._is_up, f"{UNIT} starts")

    def crash(self) -> int:
        """Crashes, and returns the process id of what died, once systemd has started the next one."""
        died = self._main_pid()
        self.container.run("sh", "-c", f"echo >{_CUE}")
        wait_until(lambda: self._main_pid() not in ("0", died) and self._is_up(), f"{UNIT} starts again")
        return int(died)

    def _is_up(self) -> bool:
        written = self.container.run("cat", _PID_FILE, check=False).stdout.strip()
        return written == self._main_pid()

    def _main_pid(self) -> str:
        return self.container.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout.strip()
