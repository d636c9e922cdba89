"""`make install` and `make uninstall`: where files go, what is kept, and that no crash is lost in between."""

from collections.abc import Iterator

import pytest

from tests.support.containers.asterisk import WORKING_DIRECTORY
from tests.support.containers.container import Container
from tests.support.containers.image import BOOKWORM, CHECKOUT
from tests.support.containers.service import CONFIGURATION, STORE, WAITING_GDB, Service
from tests.support.containers.stand_in import StandIn

UNITS = [path.name for path in (CHECKOUT / "packaging/systemd").iterdir() if path.suffix in (".path", ".service")]
LOCAL = [
    CONFIGURATION,
    "/usr/local/bin/astbtd",
    "/usr/local/lib/astbtd",
    "/usr/local/lib/systemd/catalog/astbtd.catalog",
    *(f"/usr/local/lib/systemd/system/{name}" for name in sorted(UNITS)),
    "/usr/local/lib/sysusers.d/astbtd.conf",
    "/usr/local/share/man/man5/astbtd.json.5",
    "/usr/local/share/man/man5/astbtd.yaml.5",
    "/usr/local/share/man/man8/astbtd.8",
]
WANTED = "/etc/systemd/system/multi-user.target.wants/astbtd.service"
OWN_UNIT = "[Service]\nExecStart=/bin/true\n"
PYTHONS = ("/usr/lib/python3", "/usr/lib/python3.11", "/usr/local/lib/python3.11")


@pytest.fixture
def container() -> Iterator[Container]:
    with Container.booted(BOOKWORM) as container:
        yield container


@pytest.fixture
def service(container: Container) -> Service:
    return Service(container)


def test_all_but_the_configuration_is_installed_below_usr_local(service: Service) -> None:
    service.install()
    assert service.installed() == LOCAL


def test_uninstall_removes_all_but_the_configuration(service: Service) -> None:
    service.install()
    service.container.run("systemctl", "enable", "--now", "astbtd")
    assert service.installed() == sorted([*LOCAL, WANTED])
    service.uninstall()
    assert service.installed() == [CONFIGURATION]
    assert service.property("ActiveState") == "inactive"


def test_the_python_of_the_system_is_not_changed(service: Service) -> None:
    def contents() -> str:
        return service.container.run(
            "sh", "-c", f"find {' '.join(PYTHONS)} -type f -not -name '*.pyc' | xargs md5sum"
        ).stdout

    before = contents()
    service.install()
    assert contents() == before
    assert service.container.run("python3", "-c", "import astbtd", check=False).returncode == 1


def test_another_prefix_contains_all_files_that_systemd_does_not_need(service: Service) -> None:
    service.install("PREFIX=/opt/pbx")
    for_systemd = [path for path in LOCAL if path == CONFIGURATION or "/systemd/" in path or "/sysusers.d/" in path]
    moved = [path.replace("/usr/local", "/opt/pbx") for path in LOCAL if path not in for_systemd]
    assert service.installed() == sorted([*for_systemd, *moved])

    service.start()
    assert "/opt/pbx/bin/astbtd" in service.property("ExecStart")
    assert service.unit_warnings() == ""

    service.uninstall("PREFIX=/opt/pbx")
    assert service.installed() == [CONFIGURATION]


def test_with_destdir_all_files_are_below_it_and_nothing_else_is_changed(service: Service) -> None:
    service.install("PREFIX=/usr", "DESTDIR=/srv/package")
    packaged = [path.replace("/usr/local", "/usr") for path in LOCAL]
    assert service.installed() == [f"/srv/package{path}" for path in packaged]
    assert service.property("LoadState") == "not-found"
    assert service.container.run("getent", "group", "astbtd", check=False).returncode == 2
    named = service.container.run("grep", "-rl", "/srv/package", "/srv/package", check=False).stdout
    assert named == ""

    service.uninstall("PREFIX=/usr", "DESTDIR=/srv/package")
    assert service.installed() == [f"/srv/package{CONFIGURATION}"]


def test_a_package_built_with_destdir_runs_when_unpacked(service: Service) -> None:
    service.install("PREFIX=/usr", "DESTDIR=/srv/package")
    service.container.run("cp", "-a", "/srv/package/.", "/")
    service.container.run("systemd-sysusers")
    service.container.run("systemctl", "daemon-reload")
    service.start()
    assert service.property("ActiveState") == "active"


def test_a_changed_configuration_is_kept(service: Service) -> None:
    service.install()
    service.configure("cores: {action: leave}\n")
    service.install()
    service.uninstall()
    assert service.container.run("cat", CONFIGURATION).stdout == "cores: {action: leave}\n"


def test_an_administrators_unit_is_kept(service: Service) -> None:
    own = "/etc/systemd/system/astbtd.service"
    service.container.write(own, OWN_UNIT)
    service.install()
    assert service.container.run("cat", own).stdout == OWN_UNIT
    assert "/bin/true" in service.property("ExecStart")


def test_a_missing_package_is_reported_before_anything_is_changed(service: Service) -> None:
    service.install()
    service.container.run("dpkg", "--remove", "--force-depends", "python3-zstandard")
    failed = service.make("install", check=False)
    assert failed.returncode != 0
    assert "install: python3 lacks zstandard; first: apt-get install $(make -s run-packages)" in failed.stderr
    assert service.installed() == LOCAL


def test_a_pending_core_is_recorded_once_after_a_second_installation(service: Service) -> None:
    asterisk = StandIn(service.container)
    asterisk.install()
    service.install()
    service.start()
    service.replace_gdb(WAITING_GDB)
    died = asterisk.crash()
    service.wait_for_waiting_gdb()
    before = service.property("MainPID")

    service.install()

    assert service.property("MainPID") not in (before, "0")
    collected = service.collected(died)
    assert collected["extraction"]["ended"] == "ok"
    assert service.listed() == [collected]
    assert len(service.entries(ASTBTD_ID=collected["id"])) == 1
    assert service.left_in(WORKING_DIRECTORY) == ""


def test_a_second_installation_restarts_the_path_unit_for_captures(service: Service) -> None:
    def invocation() -> str:
        shown = service.container.run("systemctl", "show", "--property=InvocationID", "--value", "astbtd-deadlock.path")
        return shown.stdout.strip()

    service.install()
    service.start()
    before = invocation()

    service.install()

    assert invocation() not in (before, "")
    assert service.container.run("systemctl", "is-active", "astbtd-deadlock.path").stdout == "active\n"


def test_the_store_is_kept_by_uninstall_and_used_by_the_next_installation(service: Service) -> None:
    asterisk = StandIn(service.container)
    asterisk.install()
    service.install()
    service.start()
    collected = service.collected(asterisk.crash())
    kept = service.container.modes_below(f"{STORE}/crashes")

    service.uninstall()
    assert service.container.modes_below(f"{STORE}/crashes") == kept

    service.install()
    service.start()
    assert service.listed() == [collected]
