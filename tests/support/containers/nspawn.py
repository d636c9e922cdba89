"""Start and end containers with systemd-nspawn on a machine that need not run systemd itself.

All mounts are in a mount namespace of the container, and all processes are descendants of its init. When the init is
killed, the kernel removes all of them.
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
    """The container did not start. The message ends with the output of its console."""


@dataclass(frozen=True)
class Boot:
    """A container that is starting: systemd-nspawn, its notification socket, and the output of its console."""

    nspawn: subprocess.Popen[bytes]
    notifications: socket.socket
    console: Path

    def wait(self) -> int:
        """Wait until the container has started. Return the process id of its init."""
        deadline = time.monotonic() + BOOT_SECONDS
        states: dict[str, str] = {}
        while not {"READY", "X_NSPAWN_LEADER_PID"} <= states.keys():
            states.update(self._notification(deadline - time.monotonic()))
        # No later notification is read. An open socket would fill up, and nspawn would block on it.
        self.notifications.close()
        return int(states["X_NSPAWN_LEADER_PID"])

    def _notification(self, seconds: float) -> dict[str, str]:
        """Return the assignments in the next notification. Raise BootFailed on a timeout or if nspawn has ended."""
        ended = os.pidfd_open(self.nspawn.pid)
        try:
            ready, _, _ = select.select((self.notifications.fileno(), ended), (), (), max(seconds, 0))
        finally:
            os.close(ended)
        if self.notifications.fileno() not in ready:
            why = "systemd-nspawn ended" if ready else f"timeout after {BOOT_SECONDS} s"
            raise BootFailed(f"{why}\n{self.console.read_text(errors='replace')}")
        lines = self.notifications.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def boot(image: Path, directory: Path) -> Iterator[Boot]:
    """Boot a container on an overlay of the image for the duration of a block. Its changes go to `directory`."""
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
    """Send SIGTERM, on which nspawn kills the init of the container (--kill-signal) and with it all processes in it."""
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
    for layer in (root, layers["upperdir"], layers["workdir"]):
        layer.mkdir()
    options = ",".join(f"{name}={path}" for name, path in layers.items())
    return (
        # If the test run is killed, nspawn gets the same signal as in _end().
        *("setpriv", "--pdeathsig=TERM", "unshare", "--mount"),
        *("sh", "-ec", _PREPARE, "sh", options, str(root), str(group)),
        *("systemd-nspawn", "--boot", f"--directory={root}", "--register=no", "--keep-unit", "--notify-ready=yes"),
        *("--kill-signal=SIGKILL", "--private-network", "--resolv-conf=off", "--link-journal=no"),
        # nspawn's filter of system calls is older than Landlock and would block it.
        "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    )


@contextmanager
def _notification_socket(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(str(path))
        yield notifications


@contextmanager
def _control_group(name: str) -> Iterator[Path]:
    """Create a control group for one container: two systemds in one group would stop each other's services."""
    hierarchies = [
        line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines() if " cgroup" in line
    ]
    group = next(Path(mounted) / name for mounted, kind in hierarchies if kind == "cgroup2")
    group.mkdir()
    try:
        yield group
    finally:
        # If the machine also has cgroups version 1, nspawn creates the same group there.
        for mounted, _ in hierarchies:
            for directory, _, _ in os.walk(Path(mounted) / name, topdown=False):
                os.rmdir(directory)
