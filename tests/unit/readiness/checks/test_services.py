"""gdb, systemd-coredump, the journal, and astbtd's own unit."""

import pytest

from astbtd.extraction.sandbox_kernel import NO_FILTER, NO_LANDLOCK
from astbtd.readiness.checks.services import (
    check_astbtd_unit,
    check_debuginfod,
    check_gdb,
    check_journal,
    check_sandbox,
    check_systemd_coredump,
)
from astbtd.readiness.facts import STOPPED, Coredump, Family, Gdb, Unit
from astbtd.readiness.gather.debug_files import Debuginfod
from astbtd.readiness.result import State, Unknown
from tests.support.readiness_facts import process, remedy, result, unit

MIB = 1 << 20


def coredump(storage: str = "external", process_size: int | None = None, external: int | None = None) -> Coredump:
    return Coredump(storage, process_size, external)


def test_there_is_no_check_if_systemd_coredump_does_not_receive_cores() -> None:
    assert check_systemd_coredump(None, process()) is None


def test_sufficient_limits_of_systemd_coredump() -> None:
    assert (
        result(check_systemd_coredump(coredump(external=400 * MIB, process_size=400 * MIB), process()))[0] is State.OK
    )
    assert result(check_systemd_coredump(coredump(), STOPPED))[0] is State.OK


@pytest.mark.parametrize("storage", ["none", "journal"])
def test_a_storage_setting_that_stores_no_file(storage: str) -> None:
    check = check_systemd_coredump(coredump(storage), process())

    assert result(check) == (State.FAILED, f"Storage={storage}: no core is stored as a file")
    assert remedy(check) == (
        r"mkdir -p /etc/systemd/coredump.conf.d && printf '[Coredump]\nStorage=external\n' "
        ">>/etc/systemd/coredump.conf.d/zz-astbtd.conf"
    )


@pytest.mark.parametrize("external", [0, 399 * MIB])
def test_cores_that_are_too_large_to_be_stored_by_systemd_coredump(external: int) -> None:
    check = check_systemd_coredump(coredump(external=external), process())

    assert result(check) == (State.FAILED, "a core may take 400M, more than ExternalSizeMax= of systemd-coredump")
    assert "ExternalSizeMax=infinity" in remedy(check)


def test_cores_that_are_too_large_only_for_the_backtrace_of_systemd_coredump() -> None:
    assert result(check_systemd_coredump(coredump(process_size=MIB), process()))[0] is State.WARNING


@pytest.mark.parametrize(("family", "command"), [(Family.DEBIAN, "apt install gdb"), (Family.RHEL, "dnf install gdb")])
def test_gdb_is_not_installed(family: Family, command: str) -> None:
    check = check_gdb(Gdb("gdb", None, python=False, problem="gdb is not installed"), family)

    assert result(check) == (State.FAILED, "gdb is not installed")
    assert remedy(check) == command


def test_a_gdb_without_python() -> None:
    check = check_gdb(Gdb("gdb", "16.3", python=False, problem=None), Family.DEBIAN)

    assert result(check) == (State.WARNING, "gdb 16.3 has no Python: only backtrace.txt is written")


@pytest.mark.parametrize(("version", "state"), [("12.1", State.WARNING), ("8.2", State.WARNING), ("13.1", State.OK)])
def test_a_gdb_that_is_older_than_the_oldest_tested_version(version: str, state: State) -> None:
    check = check_gdb(Gdb("gdb", version, python=True, problem=None), Family.RHEL)

    assert check.state is state
    if state is State.WARNING:
        assert check.found == f"gdb {version} is older than 13, the oldest version tested with astbtd"
        assert "gdb.program" in remedy(check)


def test_what_the_sandbox_of_gdb_lacks_is_a_warning() -> None:
    check = check_sandbox((NO_LANDLOCK, NO_FILTER))

    assert result(check) == (State.WARNING, f"{NO_LANDLOCK}; {NO_FILTER}")
    assert "CONFIG_SECURITY_LANDLOCK" in remedy(check)


def test_a_complete_sandbox_is_ok() -> None:
    assert result(check_sandbox(())) == (State.OK, "Landlock and a system call filter confine gdb")


def test_a_problem_of_gdb_with_its_own_remedy() -> None:
    check = check_gdb(Gdb("gdb", None, python=False, problem="its user is missing", remedy="create it"), Family.DEBIAN)

    assert remedy(check) == "create it"


def own(**properties: str) -> Unit:
    running = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    return unit("astbtd.service", **(running | properties))


def test_a_journal_that_survives_a_reboot() -> None:
    assert result(check_journal(True)) == (State.OK, "persistent")


def test_a_journal_in_memory() -> None:
    check = check_journal(False)

    assert check.state is State.WARNING
    assert r"printf '[Journal]\nStorage=persistent\n' >/etc/systemd/journald.conf.d/" in remedy(check)


def test_a_running_unit_that_can_access_every_directory() -> None:
    check = check_astbtd_unit(own(), ["/var/lib/asterisk", "/tmp"])

    assert result(check) == (State.OK, "astbtd.service is running and can access /var/lib/asterisk, /tmp")


@pytest.mark.parametrize(
    ("setting", "value", "directory"),
    [
        ("ProtectHome", "yes", "/home/pbx"),
        ("ProtectHome", "tmpfs", "/root"),
        ("PrivateTmp", "yes", "/tmp/asterisk"),
        ("PrivateTmp", "disconnected", "/var/tmp"),
        ("InaccessiblePaths", "-/srv /opt", "/srv/pbx"),
        ("TemporaryFileSystem", "/srv", "/srv"),
    ],
)
def test_a_directory_that_the_sandbox_hides(setting: str, value: str, directory: str) -> None:
    check = check_astbtd_unit(own(**{setting: value}), [directory])

    assert result(check) == (State.FAILED, f"{setting}={value} hides {directory} from astbtd.service")
    assert remedy(check).startswith(f"systemctl edit astbtd.service and add [Service] {setting}=")


@pytest.mark.parametrize(
    ("setting", "value", "directory"),
    [
        ("ProtectHome", "read-only", "/home/pbx"),  # a core that may only be read is copied
        ("ProtectHome", "yes", "/homes"),
        ("PrivateTmp", "no", "/tmp"),
        ("InaccessiblePaths", "/srv/other", "/srv/pbx"),
    ],
)
def test_a_directory_that_the_sandbox_does_not_hide(setting: str, value: str, directory: str) -> None:
    assert check_astbtd_unit(own(**{setting: value}), [directory]).state is State.OK


@pytest.mark.parametrize(
    ("properties", "command"),
    [
        ({"LoadState": "not-found"}, "make install"),
        ({"ActiveState": "inactive"}, "systemctl enable --now astbtd.service"),
        ({"ActiveState": "failed"}, "systemctl enable --now astbtd.service"),
        ({"UnitFileState": "disabled"}, "systemctl enable astbtd.service"),
    ],
)
def test_a_unit_that_is_not_installed_running_or_enabled(properties: dict[str, str], command: str) -> None:
    check = check_astbtd_unit(own(**properties), [])

    assert (check.state, remedy(check)) == (State.WARNING, command)


def test_debug_files_were_obtained() -> None:
    check = check_debuginfod(Debuginfod(obtained=2, missing=1, refused=1))

    found = "debug files of 2 builds obtained; of those wanted, 1 on no server, 1 refused"
    assert result(check) == (State.OK, found)


def test_a_server_of_debug_files_cannot_be_asked() -> None:
    check = check_debuginfod(Debuginfod(failure="Connection refused"))

    assert result(check) == (State.WARNING, "a server of symbols.debuginfod could not be asked: Connection refused")
    assert "journalctl -u astbtd-symbols" in remedy(check)


def test_the_unit_that_downloads_debug_files_cannot_work() -> None:
    check = check_debuginfod(Debuginfod(unit_failure="the disk is full\nsecond line", failure="Connection refused"))

    state, found = result(check)
    assert state is State.WARNING
    assert found.startswith("astbtd-symbols.service cannot work: the disk is full")
    assert "\n" not in found
    assert "journalctl -u astbtd-symbols" in remedy(check)


def test_the_client_of_debuginfod_is_not_installed() -> None:
    check = check_debuginfod(Debuginfod(problem="debuginfod-find is not installed: no debug file can be obtained"))

    assert result(check)[0] is State.WARNING
    assert "apt install debuginfod" in remedy(check)


def test_only_root_knows_what_became_of_the_debug_files() -> None:
    assert result(check_debuginfod(Unknown("debuginfod: permission denied")))[0] is State.UNKNOWN
