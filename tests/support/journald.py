"""A real journald with a journal of its own, in a mount namespace where no other one is seen."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.harness import PATIENCE, ServiceManager

_PROGRAM = "/lib/systemd/systemd-journald"
_HIDE = "for directory in /run/systemd /run/log /var/log; do mount -t tmpfs tmpfs $directory; done"
_ROOM = "mkdir /run/systemd/journal; echo ready; exec sleep infinity"


@dataclass
class Journald:
    """The namespace of the process `holder`, and the journald that runs in it, if any does."""

    holder: subprocess.Popen[bytes]
    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What starts a program in the namespace."""
        return ("nsenter", "--mount", f"--target={self.holder.pid}", "--")

    def start(self) -> None:
        """Starts journald, and waits until it listens."""
        manager = ServiceManager(self.directory)
        environment = {**os.environ, "NOTIFY_SOCKET": manager.address}
        self.process = subprocess.Popen([*self.wrapper, _PROGRAM], env=environment, stderr=subprocess.DEVNULL)
        while "READY=1" not in manager.states:
            assert manager.receive(PATIENCE), "journald does not start"
        manager.close()

    def get_stuck(self) -> None:
        """Lets it do nothing any more, and its queue be full."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filling, suppress(BlockingIOError):
            filling.setblocking(False)
            filling.connect(f"/proc/{self.holder.pid}/root/run/systemd/journal/socket")
            while True:
                filling.send(b"MESSAGE=one of many\n")

    def go_on(self) -> None:
        """Lets it work again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def entries(self, **fields: str) -> list[dict[str, str]]:
        """The entries of astbtd with these fields."""
        matches = [f"{name}={value}" for name, value in fields.items()]
        command = ["journalctl", "--directory=/run/log/journal", "-t", "astbtd", "-o", "json", "--all", *matches]
        found = subprocess.run([*self.wrapper, *command], capture_output=True, text=True, check=False).stdout
        return [json.loads(line) for line in found.splitlines()]

    def end(self) -> None:
        """Ends everything."""
        for process in (self.process, self.holder):
            if process:
                process.kill()
                process.wait()


@contextmanager
def own_journal(directory: Path) -> Iterator[Journald]:
    """The namespace, not yet with a journald in it; `directory` is for its own use."""
    command = ["unshare", "--mount", "sh", "-ec", f"{_HIDE}; {_ROOM}"]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    journald = Journald(holder, directory)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield journald
    finally:
        journald.end()
