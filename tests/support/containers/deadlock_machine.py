"""A machine whose Asterisk can be brought into a deadlock, and captured."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.containers.asterisk import Asterisk, Scene
from tests.support.containers.container import Container
from tests.support.containers.service import Service

Capture = dict[str, Any]
"""A deadlock.json, as any program would read it."""


class DeadlockMachine:
    """A machine with Asterisk, both test modules, and astbtd, which is installed and not started."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.asterisk = Asterisk(container)
        self.service = Service(container)

    @classmethod
    @contextmanager
    def booted(cls) -> Iterator["DeadlockMachine"]:
        """Boot a machine for the duration of a block."""
        with Container.booted() as container:
            machine = cls(container)
            machine.asterisk.install_crash_module()
            machine.asterisk.install_lock_module()
            machine.service.install()
            yield machine

    def capture(self, scene: Scene, *options: str) -> Capture:
        """Restart Asterisk, let its threads wait for locks, and return the capture of that."""
        self.asterisk.restart()
        self.asterisk.play(scene)
        captured: Capture = json.loads(self.service.command("deadlock", "--json", *options))
        self.check_asterisk_runs(captured["process"]["pid"])
        return captured

    def check_asterisk_runs(self, pid: int) -> None:
        """Check that the Asterisk with this process id still runs and answers on its console."""
        assert self.asterisk.main_pid() == pid
        assert "System uptime" in self.asterisk.console("core show uptime")

    def captures(self) -> list[Capture]:
        """Return all captures in the store."""
        return list(json.loads(self.service.command("list", "--deadlocks", "--json")))
