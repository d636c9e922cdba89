"""The test program as asterisk.service, in containers of a Debian without Asterisk."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.containers.asterisk import UNIT, WORKING_DIRECTORY
from tests.support.containers.container import Container, wait_until
from tests.support.containers.service import Record

_SOURCES = Path(__file__).resolve().parents[2] / "programs"
_PROGRAMS = "/usr/lib/asterisk"
_PID_FILE = "/run/asterisk/asterisk.pid"
_CRASH_FIFO = "/run/asterisk/crash"
_UNIT_FILE = f"""[Service]
ExecStartPre=mkfifo {_CRASH_FIFO}
ExecStart=sh -c "exec /usr/sbin/asterisk --pid-file {_PID_FILE} --hold segv <>{_CRASH_FIFO}"
User=asterisk
RuntimeDirectory=asterisk
WorkingDirectory={WORKING_DIRECTORY}
LimitCORE=infinity
Restart=on-failure
RestartSec=1
"""


@dataclass(frozen=True)
class StandIn:
    """The test program in the place of Asterisk in a container."""

    container: Container

    def install(self, built: Path | None = None) -> None:
        """Build the program, or copy it from `built`, and start it under the service name of Debian's package."""
        run = self.container.run
        if built:
            self.container.copy_in(built, _PROGRAMS)
        else:
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
        """Crash, wait until systemd has started the program again, and return the process id that crashed."""
        crashed = self._main_pid()
        self.container.run("sh", "-c", f"echo >{_CRASH_FIFO}")
        wait_until(lambda: self._main_pid() not in ("0", crashed) and self._is_up(), f"{UNIT} starts again")
        return int(crashed)

    def _is_up(self) -> bool:
        written = self.container.run("cat", _PID_FILE, check=False).stdout.strip()
        return written == self._main_pid()

    def _main_pid(self) -> str:
        return self.container.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout.strip()


def check_record(crash: Record) -> None:
    """Check that the record of a crash of the program is complete, and that its core was kept."""
    assert crash["signal"]["name"] == "SIGSEGV"
    assert crash["diagnosis"]["crash_function"] == "do_forward"
    assert crash["diagnosis"]["verdict"] == "usable"
    assert crash["asterisk"]["version"] == "22.10.0-astbtd"
    assert crash["extraction"]["ended"] == "ok"
    expected = {"path": f"{WORKING_DIRECTORY}/core", "found": "event", "state": "kept", "truncated": False}
    assert crash["core"] | expected == crash["core"]
