"""In the emulated machine: the daemon under its systemd, in the sandbox of its unit, collects a crash.

`make test-arm64` runs it there. The helpers for containers serve: process 1 is that of the machine itself.
"""

from collections.abc import Iterator

import pytest

from tests.arm64.in_machine import BUILT, is_machine
from tests.support.commands import built_name
from tests.support.containers.container import Container
from tests.support.containers.service import HIGHEST_EXPOSURES, Record, Service
from tests.support.containers.stand_in import StandIn, check_record

pytestmark = pytest.mark.skipif(not is_machine(), reason="changes the machine: see `make test-arm64`")


@pytest.fixture(scope="module")
def asterisk() -> StandIn:
    """The program that stands in for Asterisk, started by systemd."""
    asterisk = StandIn(Container(init=1))
    asterisk.install(BUILT / built_name(()))
    return asterisk


@pytest.fixture(scope="module")
def service(asterisk: StandIn) -> Iterator[Service]:
    """The installed daemon, started by systemd. It watches the directory of Asterisk when it is ready."""
    service = Service(asterisk.container)
    service.install()
    service.start()
    yield service
    service.container.run("systemctl", "stop", "astbtd.service")


@pytest.fixture(scope="module")
def crash(asterisk: StandIn, service: Service) -> Record:
    """The first crash of the machine."""
    return service.collected(asterisk.crash())


def test_a_crash_is_collected_and_its_core_is_kept(crash: Record) -> None:
    check_record(crash)


def test_the_crash_has_a_site_and_nothing_was_missing_in_the_sandbox(crash: Record) -> None:
    assert crash["site"]["frames"]
    assert crash["extraction"]["notes"] == []


def test_the_sandbox_of_the_unit_is_as_tight_as_elsewhere(service: Service) -> None:
    assert service.exposure("astbtd.service") <= HIGHEST_EXPOSURES["astbtd.service"]
    assert service.property("NRestarts") == "0"
