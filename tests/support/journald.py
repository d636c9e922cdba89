"""A real journald with a journal of its own, in a mount namespace that hides the one of the machine."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.harness import TIMEOUT, ServiceManager, suspend
from tests.support.sockets import fill_queue

_PROGRAM = "/lib/systemd/systemd-journald"
_HIDE = "for directory in /run/systemd /run/log /var/log; do mount -t tmpfs tmpfs $directory; done"
_READY = "mkdir /run/systemd/journal; echo ready; exec sleep infinity"


@dataclass
class Journald:
    """The mount namespace of the process `holder`, and the journald in it, if one runs."""

    holder: subprocess.Popen[bytes]
    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def wrapper(self) -> tuple[str, ...]:
        """The command that starts a program in the namespace."""
        return ("nsenter", "--mount", f"--target={self.holder.pid}", "--")

    def start(self) -> None:
        """Start journald and wait until it listens."""
        manager = ServiceManager(self.directory)
        environment = {**os.environ, "NOTIFY_SOCKET": manager.address}
        self.process = subprocess.Popen([*self.wrapper, _PROGRAM], env=environment, stderr=subprocess.DEVNULL)
        while "READY=1" not in manager.states:
            assert manager.receive(TIMEOUT), "journald did not start"
        manager.close()

    def block(self) -> None:
        """Suspend journald and fill its queue."""
        assert self.process is not None
        suspend(self.process)
        fill_queue(f"/proc/{self.holder.pid}/root/run/systemd/journal/socket", b"MESSAGE=filler\n")

    def resume(self) -> None:
        """Resume journald."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def entries(self, **fields: str) -> list[dict[str, str]]:
        """Return the entries of astbtd with these fields."""
        matches = [f"{name}={value}" for name, value in fields.items()]
        command = ["journalctl", "--directory=/run/log/journal", "-t", "astbtd", "-o", "json", "--all", *matches]
        found = subprocess.run([*self.wrapper, *command], capture_output=True, text=True, check=False).stdout
        return [json.loads(line) for line in found.splitlines()]

    def end(self) -> None:
        """Kill all processes."""
        for process in (self.process, self.holder):
            if process:
                process.kill()
                process.wait()


@contextmanager
def own_journal(directory: Path) -> Iterator[Journald]:
    """Create the namespace, without a journald yet. `directory` is for the use of journald."""
    command = ["unshare", "--mount", "sh", "-ec", f"{_HIDE}; {_READY}"]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    journald = Journald(holder, directory)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield journald
    finally:
        journald.end()
