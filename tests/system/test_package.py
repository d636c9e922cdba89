"""The Debian package on fresh machines: installed, upgraded, removed and purged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import debian_package
from tests.support.containers.asterisk import WORKING_DIRECTORY
from tests.support.containers.container import Container
from tests.support.containers.debian_package import Apt
from tests.support.containers.image import BOOKWORM, CHECKOUT, TRIXIE
from tests.support.containers.package_image import cached_package_image
from tests.support.containers.service import STORE, WAITING_GDB, Service
from tests.support.containers.stand_in import StandIn

LOCAL_SETTINGS = "/etc/astbtd.d/50-site.yaml"
GDB = "/usr/local/bin/not-gdb"
STAND_IN_USER = "asterisk: {users: [asterisk]}\n"  # a shell starts it, so that its user is not found


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian_package.build(tmp_path_factory.mktemp("package"))


@pytest.fixture(params=[BOOKWORM, TRIXIE], ids=lambda suite: suite.name)
def container(request: pytest.FixtureRequest) -> Iterator[Container]:
    """A machine on which nothing is installed that astbtd depends on."""
    with Container.booted(image=cached_package_image(request.param)) as container:
        yield container


def test_installing_it_is_all_that_is_needed_to_collect_a_crash(container: Container, package: Path) -> None:
    assert container.run("which", "gdb", check=False).returncode != 0

    Apt(container).install(package)

    service = Service(container)
    assert service.property("ActiveState") == "active"
    assert service.property("UnitFileState") == "enabled"
    assert service.unit_warnings() == ""
    container.copy_in(CHECKOUT / "debian/tests", "/usr/src/astbtd/debian/tests")
    container.copy_in(CHECKOUT / "tests/programs", "/usr/src/astbtd/tests/programs")
    shown = container.run("/usr/src/astbtd/debian/tests/collects-a-crash", timeout=300).stdout
    assert "Asterisk crashed: SIGSEGV (Segmentation fault, address 0x114) in do_forward" in shown
    assert "Subject: Asterisk crashed" in container.run("journalctl", "-x", "-t", "astbtd").stdout


def test_an_upgrade_loses_no_claim_asks_nothing_and_keeps_local_settings(
    container: Container, package: Path, tmp_path: Path
) -> None:
    newer = debian_package.make_newer(package, tmp_path)
    service, asterisk, apt = Service(container), StandIn(container), Apt(container)
    apt.install(package)
    asterisk.install()
    container.write(GDB, WAITING_GDB, mode=0o755)
    container.write(LOCAL_SETTINGS, f"gdb: {{program: {GDB}}}\n{STAND_IN_USER}")
    service.reload()
    died = asterisk.crash()
    service.wait_for_waiting_gdb()
    before = service.property("MainPID")

    apt.install(newer)

    assert service.property("MainPID") not in (before, "0")
    collected = service.collected(died)
    assert collected["extraction"]["ended"] == "ok"
    assert service.listed() == [collected]
    assert service.left_in(WORKING_DIRECTORY) == ""
    assert container.run("tail", "-n1", "/etc/astbtd.yaml").stdout == "# A newer version documents more.\n"
    assert GDB in container.run("cat", LOCAL_SETTINGS).stdout


def test_remove_keeps_the_store_and_purge_deletes_it(container: Container, package: Path) -> None:
    service, asterisk, apt = Service(container), StandIn(container), Apt(container)
    apt.install(package)
    asterisk.install()
    container.write(LOCAL_SETTINGS, STAND_IN_USER)
    service.reload()
    collected = service.collected(asterisk.crash())
    kept = container.modes_below(f"{STORE}/crashes")

    apt.remove()

    assert service.property("LoadState") in ("not-found", "masked")
    assert container.modes_below(f"{STORE}/crashes") == kept

    apt.install(package)
    assert service.listed() == [collected]

    apt.purge()
    assert container.run("test", "-e", STORE, check=False).returncode == 1
    assert container.run("test", "-e", "/etc/astbtd.yaml", check=False).returncode == 1


def test_a_local_setting_with_an_error_is_named(container: Container, package: Path) -> None:
    Apt(container).install(package)
    container.write(LOCAL_SETTINGS, "gdb: {time: soon}\n")

    rejected = container.run("astbtd", "check-config", check=False)

    assert rejected.returncode == 78
    assert f"{LOCAL_SETTINGS}: 1 error" in rejected.stderr


def test_a_store_of_a_newer_version_is_refused(container: Container, package: Path) -> None:
    Apt(container).install(package)
    container.run("systemctl", "stop", "astbtd")
    container.write(f"{STORE}/schema", "1000\n")

    started = container.run("systemctl", "start", "astbtd", check=False)

    assert started.returncode != 0
    container.run("journalctl", "--sync")
    assert "written by a newer version of astbtd" in container.run("journalctl", "-u", "astbtd").stdout
