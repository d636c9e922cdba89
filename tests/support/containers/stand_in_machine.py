"""A machine with the test program in the place of Asterisk, and astbtd, both as services."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.containers.container import Container
from tests.support.containers.image import BOOKWORM, Suite
from tests.support.containers.service import Record, Service
from tests.support.containers.stand_in import StandIn


@dataclass(frozen=True)
class StandInMachine:
    """The machine. Tests that need more of it have a subclass."""

    container: Container
    asterisk: StandIn
    service: Service

    def crash(self) -> Record:
        """Crash and return the record, once the crash is completely processed."""
        return self.service.collected(self.asterisk.crash())


M = TypeVar("M", bound=StandInMachine)


@contextmanager
def booted(kind: type[M], suite: Suite = BOOKWORM, image: Path | None = None) -> Iterator[M]:
    """Boot a new machine for the duration of a block. astbtd is installed, and not yet started."""
    with Container.booted(suite, image) as container:
        machine = kind(container, StandIn(container), Service(container))
        machine.asterisk.install()
        machine.service.install()
        yield machine
