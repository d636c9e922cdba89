"""The directory of the core, and what prevents the kernel from writing it there."""

from typing import Any

import pytest

from astbtd.readiness.checks.dump_directory import (
    can_write,
    check_blocked_core,
    check_core_directory,
    check_core_name,
    check_core_pattern,
    check_core_uses_pid,
)
from astbtd.readiness.facts import STOPPED, Credentials, DirectoryProblem, ExistingFile, Unit
from astbtd.readiness.result import Check, State, Unknown
from tests.support.readiness_facts import HOST, directory, instance, kernel, process, remedy, result, unit

DAC_OVERRIDE, FOWNER = 1 << 1, 1 << 3


def credentials(uid: int, *groups: int, capabilities: int = 0) -> Credentials:
    return Credentials(uid, frozenset(groups), capabilities)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("core", "a file in the working directory of the process"),
        ("/var/cores/core.%p", "a file in a fixed directory"),
    ],
)
def test_a_pattern_that_leads_to_a_watched_directory(pattern: str, kind: str) -> None:
    assert result(check_core_pattern(kernel(pattern))) == (State.OK, f"{pattern!r}: {kind}")


def test_a_pattern_that_leads_to_no_watched_directory() -> None:
    check = check_core_pattern(kernel("|/bin/false %p", watched=False))

    found = "core_pattern '|/bin/false %p' leads elsewhere"
    assert result(check) == (State.FAILED, found)
    assert remedy(check).startswith("sysctl -w kernel.core_pattern=core && ")


def test_the_program_that_receives_the_cores_must_be_executable() -> None:
    assert check_core_pattern(kernel("|/opt/keep %p", helper_runs=True)).state is State.OK
    check = check_core_pattern(kernel("|/opt/keep %p", helper_runs=False))

    assert result(check) == (State.FAILED, "'|/opt/keep %p' names a program that cannot be executed: cores are lost")


@pytest.mark.parametrize(("pattern", "uses_pid"), [("core.%p", False), ("core", True), ("core.%e.%p.%t", True)])
def test_cores_with_unique_names(pattern: str, uses_pid: bool) -> None:
    check = check_core_uses_pid(kernel(pattern, uses_pid=uses_pid), HOST.astbtd)

    assert result(check) == (State.OK, "each core has a unique name")


@pytest.mark.parametrize("pattern", ["core", "core.%e", "core%%p"])
def test_overwritten_cores_are_a_problem_only_while_astbtd_is_not_running(pattern: str) -> None:
    idle = unit("astbtd.service", ActiveState="inactive")

    assert check_core_uses_pid(kernel(pattern), HOST.astbtd).state is State.OK
    check = check_core_uses_pid(kernel(pattern), idle)
    assert (check.state, remedy(check)) == (State.WARNING, "sysctl -w kernel.core_uses_pid=1")


@pytest.mark.parametrize(
    ("pattern", "uses_pid", "others", "state"),
    [
        ("core", False, ("astcanary",), State.WARNING),
        ("core", False, (), State.OK),
        ("core", True, ("astcanary",), State.OK),
        ("core.%e", False, ("astcanary",), State.OK),
        ("core.%%p.%u", False, ("astcanary",), State.WARNING),
        ("|/usr/bin/keep", False, ("astcanary",), State.OK),
        ("core", False, Unknown("permission denied"), State.UNKNOWN),
    ],
)
def test_another_program_of_the_unit_may_not_dump_under_the_same_name(
    pattern: str, uses_pid: bool, others: tuple[str, ...] | Unknown, state: State
) -> None:
    check = check_core_name(instance(other_programs=others), kernel(pattern, uses_pid=uses_pid))

    assert check is not None
    assert check.state is state
    if state is State.WARNING:
        assert check.found.startswith("astcanary of asterisk.service would give a core the same name")
        assert remedy(check).startswith("sysctl -w kernel.core_uses_pid=1 && ")


def test_without_a_unit_no_other_program_is_signalled() -> None:
    assert check_core_name(instance(unit=None, other_programs=("astcanary",)), kernel("core")) is None


@pytest.mark.parametrize(
    ("mode", "who", "expected"),
    [
        (0o700, credentials(110), True),
        (0o500, credentials(110), False),
        (0o070, credentials(110, 115), False),  # the owner's bits count for the owner
        (0o770, credentials(1, 115), True),
        (0o750, credentials(1, 115), False),
        (0o777, credentials(1), True),
        (0o776, credentials(1), False),  # what cannot be entered cannot be written to
        (0o1777, credentials(1), True),
        (0o000, credentials(0, capabilities=DAC_OVERRIDE), True),
        (0o000, credentials(0), False),
    ],
)
def test_write_permission_for_a_directory(mode: int, who: Credentials, expected: bool) -> None:
    assert can_write(who, directory(mode=mode)) is expected


RUNS, IDLE = unit("astbtd.service", ActiveState="active"), unit("astbtd.service", ActiveState="inactive")
BY_ITS_DIRECTORY = unit(WorkingDirectory="/srv", PrivateTmp="yes")


def check_changed(
    astbtd: Unit | Unknown = RUNS, unit_of_asterisk: Unit | None = BY_ITS_DIRECTORY, **changes: Any
) -> Check:
    """Check an Asterisk whose unit sets its working directory, for a directory with changes."""
    return check_core_directory(instance(unit=unit_of_asterisk, directory=directory(**changes)), astbtd)


def test_a_directory_that_is_not_writable() -> None:
    check = check_changed(path="/srv", uid=0, mode=0o755)

    assert result(check) == (State.FAILED, "/srv is not writable by uid 110")
    assert remedy(check) == (
        "systemctl edit asterisk.service and add [Service] WorkingDirectory=/var/lib/asterisk, "
        "then: systemctl restart asterisk.service"
    )


@pytest.mark.parametrize("path", ["/var/lib/asterisk", "/srv/pbx"])
def test_a_directory_of_the_unit_itself_gets_the_owner_that_it_needs(path: str) -> None:
    check = check_changed(path=path, uid=0, mode=0o755, unit_of_asterisk=unit(WorkingDirectory=path))

    assert result(check) == (State.FAILED, f"{path} is not writable by uid 110")
    assert remedy(check) == f"chown 110 {path}"


def test_a_directory_that_belongs_to_asterisk_gets_a_writable_mode() -> None:
    check = check_changed(path="/srv/pbx", uid=110, mode=0o555, unit_of_asterisk=unit(WorkingDirectory="/srv/pbx"))

    assert remedy(check) == "chmod u+wx /srv/pbx"


@pytest.mark.parametrize(("path", "uid"), [("/home/joe", 1000), ("/var/lib", 0), ("/usr/share/pbx", 0)])
def test_the_directory_of_somebody_else_keeps_its_owner(path: str, uid: int) -> None:
    check = check_changed(path=path, uid=uid, mode=0o755, unit_of_asterisk=unit(WorkingDirectory=path))

    assert "[Service] WorkingDirectory=/var/lib/asterisk, then: " in remedy(check)


@pytest.mark.parametrize(
    ("unit_of_asterisk", "is_fixed"), [(None, False), (unit(WorkingDirectory=""), False), (BY_ITS_DIRECTORY, True)]
)
def test_without_a_working_directory_in_the_unit_the_remedy_is_one_directory_for_all_cores(
    unit_of_asterisk: Unit | None, is_fixed: bool
) -> None:
    check = check_changed(unit_of_asterisk=unit_of_asterisk, path="/", uid=0, mode=0o755, is_fixed=is_fixed)

    assert remedy(check) == (
        "install -d -m 1777 /var/cores && sysctl -w kernel.core_pattern=/var/cores/core.%e.%p && "
        "echo kernel.core_pattern=/var/cores/core.%e.%p >/etc/sysctl.d/60-core-pattern.conf"
    )


@pytest.mark.parametrize(
    ("is_fixed", "expected"),
    [
        (False, "[Service] WorkingDirectory=/var/lib/asterisk and ReadWritePaths=/var/lib/asterisk, then: "),
        (True, "; systemctl edit asterisk.service and add [Service] ReadWritePaths=/var/cores, then: "),
    ],
)
def test_a_read_only_directory(is_fixed: bool, expected: str) -> None:
    check = check_changed(path="/srv", is_fixed=is_fixed, read_only=True)

    assert result(check) == (State.FAILED, "/srv is read-only for Asterisk")
    assert expected in remedy(check)


def test_a_directory_that_is_private_to_asterisk() -> None:
    check = check_changed(path="/tmp", host_path=None, problem=DirectoryProblem.PRIVATE)

    assert result(check) == (State.FAILED, "/tmp is private to Asterisk")
    assert remedy(check).startswith("systemctl edit asterisk.service and add [Service] PrivateTmp=no, then: ")


def test_the_remedy_for_another_private_directory_is_to_use_another_one() -> None:
    check = check_changed(path="/srv/a", host_path=None, problem=DirectoryProblem.PRIVATE)

    assert "[Service] WorkingDirectory=/var/lib/asterisk, then: " in remedy(check)


def test_a_private_tmp_is_a_failure_only_while_astbtd_is_not_running() -> None:
    volatile: dict[str, Any] = {"path": "/tmp", "problem": DirectoryProblem.VOLATILE}

    assert result(check_changed(RUNS, **volatile)) == (
        State.WARNING,
        "/tmp is private to Asterisk and removed when its service stops: astbtd has little time to save the core",
    )
    assert result(check_changed(IDLE, **volatile)) == (
        State.FAILED,
        "/tmp is private to Asterisk and removed when its service stops, "
        "and astbtd.service is not running to save the core before",
    )
    assert check_changed(Unknown("no systemd"), **volatile).state is State.WARNING
    assert "[Service] PrivateTmp=no, then: " in remedy(check_changed(RUNS, **volatile))


def test_a_private_tmp_that_is_not_writable_is_a_failure() -> None:
    check = check_changed(path="/tmp/x", problem=DirectoryProblem.VOLATILE, uid=0, mode=0o755)

    assert result(check) == (State.FAILED, "/tmp/x is not writable by uid 110")


def test_a_directory_in_a_container() -> None:
    check = check_changed(path="/srv", host_path=None, problem=DirectoryProblem.CONTAINED)

    assert result(check) == (State.FAILED, "/srv is in a container, not accessible from the host")
    assert "watch.directories in /etc/astbtd.yaml" in remedy(check)


def test_a_missing_directory() -> None:
    check = check_changed(path="/var/c d", host_path=None, is_fixed=True, problem=DirectoryProblem.MISSING)

    assert result(check) == (State.FAILED, "/var/c d does not exist")
    assert remedy(check) == "install -d -m 1777 '/var/c d'"


def test_a_directory_that_is_hidden_from_asterisk() -> None:
    check = check_changed(path="/srv/cores", host_path=None, is_fixed=True, problem=DirectoryProblem.HIDDEN)

    assert result(check) == (State.FAILED, "/srv/cores is hidden from Asterisk")
    assert remedy(check).startswith("install -d -m 1777 /var/cores && ")


def test_no_directory_is_needed_if_the_core_is_piped_to_a_program() -> None:
    assert check_core_directory(instance(directory=None), RUNS).state is State.OK
    assert check_blocked_core(instance(directory=None)).state is State.OK


def test_the_directory_of_a_stopped_asterisk_is_unknown() -> None:
    stopped = instance(process=STOPPED, directory=STOPPED)

    assert {check_core_directory(stopped, RUNS).state, check_blocked_core(stopped).state} == {State.UNKNOWN}


OTHERS, OWN, FOLDER = (
    ExistingFile("core", 1000, False),
    ExistingFile("core", 110, False),
    ExistingFile("core", 110, True),
)


@pytest.mark.parametrize(
    ("existing", "mode", "owner", "capabilities", "blocked"),
    [
        (None, 0o1777, 0, 0, False),
        (OTHERS, 0o1777, 0, 0, True),
        (OTHERS, 0o777, 0, 0, False),  # the kernel removes it first
        (OTHERS, 0o1777, 110, 0, False),  # whoever owns the directory removes what others put there
        (OTHERS, 0o1777, 0, FOWNER, False),
        (OWN, 0o1777, 0, 0, False),
        (FOLDER, 0o755, 110, 0, True),
    ],
)
def test_an_existing_file_with_the_name_of_the_core(
    existing: ExistingFile | None, mode: int, owner: int, capabilities: int, blocked: bool
) -> None:
    there = directory(existing=existing, mode=mode, uid=owner)
    asterisk = process(credentials=credentials(110, 115, capabilities=capabilities))

    check = check_blocked_core(instance(process=asterisk, directory=there))

    assert check.state is (State.FAILED if blocked else State.OK)


def test_the_remedy_for_a_blocking_file_is_to_move_it_away() -> None:
    there = directory(path="/tmp", host_path="/srv/a b", existing=OTHERS, mode=0o1777, uid=0)

    check = check_blocked_core(instance(directory=there))

    assert "/srv/a b/core belongs to uid 1000 in a sticky directory" in check.found
    assert remedy(check) == "mv '/srv/a b/core' '/srv/a b/core.old'"
