"""Starting a container with systemd-nspawn on a machine that may itself have no systemd, and ending it for good.

Whatever is mounted is mounted in a name space of the container's own, and every process is a descendant of the
container's init: when that is killed, the kernel clears up all of it.
"""

import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BOOT_SECONDS = 120
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class BootFailed(Exception):
    """The container did not come up; the message ends with what its console showed."""


@dataclass(frozen=True)
class Boot:
    """A container that is starting: systemd-nspawn, the socket it reports to, and what the console shows."""

    nspawn: subprocess.Popen[bytes]
    notifications: socket.socket
    console: Path

    def wait(self) -> int:
        """The process id of the container's init, as soon as that says that everything has started."""
        deadline = time.monotonic() + BOOT_SECONDS
        told: dict[str, str] = {}
        while not {"READY", "X_NSPAWN_LEADER_PID"} <= told.keys():
            told.update(self._notification(deadline - time.monotonic()))
        # What the container's systemd reports from now on nobody reads; nspawn would wait for room, and never end.
        self.notifications.close()
        return int(told["X_NSPAWN_LEADER_PID"])

    def _notification(self, seconds: float) -> dict[str, str]:
        """The assignments in nspawn's next message; nspawn's end, or time running out, is a failed boot."""
        ended = os.pidfd_open(self.nspawn.pid)
        try:
            ready, _, _ = select.select((self.notifications.fileno(), ended), (), (), max(seconds, 0))
        finally:
            os.close(ended)
        if self.notifications.fileno() not in ready:
            why = "systemd-nspawn ended" if ready else f"not within {BOOT_SECONDS} s"
            raise BootFailed(f"{why}\n{self.console.read_text(errors='replace')}")
        lines = self.notifications.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def boot(image: Path, directory: Path) -> Iterator[Boot]:
    """A container on top of the image, all of its writes in the directory; it ends with the block."""
    console = directory / "console.log"
    with _notification_socket(directory / "notify") as notifications, _control_group(directory.name) as group:
        nspawn = _start(_argv(image, directory, group), directory / "notify", console)
        try:
            yield Boot(nspawn, notifications, console)
        finally:
            _end(nspawn)


def _start(argv: tuple[str, ...], notify: Path, console: Path) -> subprocess.Popen[bytes]:
    environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(notify), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    with console.open("wb") as output:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)


def _end(nspawn: subprocess.Popen[bytes]) -> None:
    """SIGTERM makes nspawn kill the container's init (see --kill-signal), and with it every process in there."""
    nspawn.terminate()
    try:
        nspawn.wait(timeout=10)
    except subprocess.TimeoutExpired:
        nspawn.kill()
        nspawn.wait()


_PREPARE = """
layers=$1 root=$2 group=$3
shift 3
mount -t overlay overlay -o "$layers" "$root"
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
echo $$ > "$group/cgroup.procs"
exec "$@"
"""


def _argv(image: Path, directory: Path, group: Path) -> tuple[str, ...]:
    root = directory / "root"
    layers = {"lowerdir": image, "upperdir": directory / "upper", "workdir": directory / "work"}
    for made in (root, layers["upperdir"], layers["workdir"]):
        made.mkdir()
    options = ",".join(f"{name}={path}" for name, path in layers.items())
    return (
        # Should the test run itself be killed, nspawn is told to end, as in _end().
        *("setpriv", "--pdeathsig=TERM", "unshare", "--mount"),
        *("sh", "-ec", _PREPARE, "sh", options, str(root), str(group)),
        *("systemd-nspawn", "--boot", f"--directory={root}", "--register=no", "--keep-unit", "--notify-ready=yes"),
        *("--kill-signal=SIGKILL", "--private-network", "--resolv-conf=off", "--link-journal=no"),
        # As on a machine of its own: nspawn's list of system calls is older than Landlock.
        "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    )


@contextmanager
def _notification_socket(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(str(path))
        yield notifications


@contextmanager
def _control_group(name: str) -> Iterator[Path]:
    """A control group for one container: two systemds in the same one would stop each other's services."""
    hierarchies = [
        line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines() if " cgroup" in line
    ]
    group = next(Path(mounted) / name for mounted, kind in hierarchies if kind == "cgroup2")
    group.mkdir()
    try:
        yield group
    finally:
        # On a machine that also has version 1, nspawn makes the same group there.
        for mounted, _ in hierarchies:
            for directory, _, _ in os.walk(Path(mounted) / name, topdown=False):
                os.rmdir(directory)
