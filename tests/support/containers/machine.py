"""A machine with Asterisk and astbtd on it, both running as services."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.containers.asterisk import Asterisk, Crash
from tests.support.containers.container import Container
from tests.support.containers.service import Record, Service


@dataclass(frozen=True)
class Machine:
    """A machine with Asterisk and astbtd, both running as services."""

    container: Container
    asterisk: Asterisk
    service: Service

    def crash(self, how: Crash) -> Record:
        """Crash Asterisk and wait until systemd has started it again. Return the record of the crash."""
        return self.service.collected(self.asterisk.crash(how))


@contextmanager
def booted() -> Iterator[Machine]:
    """Boot a new machine for the duration of a block."""
    with Container.booted() as container:
        machine = Machine(container, Asterisk(container), Service(container))
        machine.asterisk.install_crash_module()
        machine.service.install()
        machine.service.start()
        yield machine
