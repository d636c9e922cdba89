"""Where the core goes, and what may keep it from getting there."""

from typing import Any

import pytest

from astbtd.readiness.checks.dump_directory import (
    blocked_core,
    core_directory,
    core_pattern,
    core_uses_pid,
    may_write,
)
from astbtd.readiness.facts import STOPPED, Credentials, DirectoryProblem, ExistingFile, Unit
from astbtd.readiness.result import Check, State, Unknown
from tests.support.readiness_facts import MACHINE, directory, instance, kernel, process, remedy, told, unit

DAC_OVERRIDE, FOWNER = 1 << 1, 1 << 3


def who(uid: int, *groups: int, capabilities: int = 0) -> Credentials:
    return Credentials(uid, frozenset(groups), capabilities)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("core", "a file in the working directory of the process"),
        ("/var/cores/core.%p", "a file in a fixed directory"),
    ],
)
def test_a_pattern_whose_end_we_see(pattern: str, kind: str) -> None:
    assert told(core_pattern(kernel(pattern))) == (State.OK, f"{pattern!r}: {kind}")


def test_a_pattern_whose_end_we_do_not_see() -> None:
    check = core_pattern(kernel("|/bin/false %p", seen=False))

    found = "core_pattern '|/bin/false %p' leads elsewhere: astbtd does not see them"
    assert told(check) == (State.FAILED, found)
    assert remedy(check).startswith("sysctl -w kernel.core_pattern=core && ")


def test_a_program_that_keeps_cores_where_we_see_them_has_to_be_there() -> None:
    assert core_pattern(kernel("|/opt/keep %p", helper=True)).state is State.OK
    check = core_pattern(kernel("|/opt/keep %p", helper=False))

    assert told(check) == (State.FAILED, "'|/opt/keep %p' names a program that cannot be run: cores are lost")


@pytest.mark.parametrize(("pattern", "uses_pid"), [("core.%p", False), ("core", True), ("core.%e.%p.%t", True)])
def test_cores_with_names_of_their_own(pattern: str, uses_pid: bool) -> None:
    check = core_uses_pid(kernel(pattern, uses_pid=uses_pid), MACHINE.astbtd)

    assert told(check) == (State.OK, "each core has a name of its own")


@pytest.mark.parametrize("pattern", ["core", "core.%e", "core%%p"])
def test_cores_that_replace_each_other_matter_only_while_nobody_claims_them(pattern: str) -> None:
    idle = unit("astbtd.service", ActiveState="inactive")

    assert core_uses_pid(kernel(pattern), MACHINE.astbtd).state is State.OK
    check = core_uses_pid(kernel(pattern), idle)
    assert (check.state, remedy(check)) == (State.WARNING, "sysctl -w kernel.core_uses_pid=1")


@pytest.mark.parametrize(
    ("mode", "credentials", "may"),
    [
        (0o700, who(110), True),
        (0o500, who(110), False),
        (0o070, who(110, 115), False),  # the owner's bits count for the owner
        (0o770, who(1, 115), True),
        (0o750, who(1, 115), False),
        (0o777, who(1), True),
        (0o776, who(1), False),  # what cannot be entered cannot be written to
        (0o1777, who(1), True),
        (0o000, who(0, capabilities=DAC_OVERRIDE), True),
        (0o000, who(0), False),
    ],
)
def test_who_may_write_to_a_directory(mode: int, credentials: Credentials, may: bool) -> None:
    assert may_write(credentials, directory(mode=mode)) is may


RUNS, IDLE = unit("astbtd.service", ActiveState="active"), unit("astbtd.service", ActiveState="inactive")
BY_ITS_DIRECTORY = unit(WorkingDirectory="/srv", PrivateTmp="yes")


def judged(astbtd: Unit | Unknown = RUNS, asterisks: Unit | None = BY_ITS_DIRECTORY, **changes: Any) -> Check:
    """The check of an Asterisk whose unit names its working directory, for a directory with changes."""
    return core_directory(instance(unit=asterisks, directory=directory(**changes)), astbtd)


def test_a_directory_that_is_not_writable() -> None:
    check = judged(path="/srv", uid=0, mode=0o755)

    assert told(check) == (State.FAILED, "/srv is not writable by uid 110")
    assert remedy(check) == (
        "systemctl edit asterisk.service and add [Service] WorkingDirectory=/var/lib/asterisk, "
        "then: systemctl restart asterisk.service"
    )


@pytest.mark.parametrize(
    ("asterisks", "fixed"), [(None, False), (unit(WorkingDirectory=""), False), (BY_ITS_DIRECTORY, True)]
)
def test_where_no_unit_names_the_directory_one_for_all_cores_helps(asterisks: Unit | None, fixed: bool) -> None:
    check = judged(asterisks=asterisks, path="/", uid=0, mode=0o755, fixed=fixed)

    assert remedy(check) == (
        "install -d -m 1777 /var/cores && sysctl -w kernel.core_pattern=/var/cores/core.%e.%p && "
        "echo kernel.core_pattern=/var/cores/core.%e.%p >/etc/sysctl.d/60-core-pattern.conf"
    )


@pytest.mark.parametrize(
    ("fixed", "helps"),
    [
        (False, "[Service] WorkingDirectory=/var/lib/asterisk and ReadWritePaths=/var/lib/asterisk, then: "),
        (True, "; systemctl edit asterisk.service and add [Service] ReadWritePaths=/var/cores, then: "),
    ],
)
def test_a_directory_that_is_read_only(fixed: bool, helps: str) -> None:
    check = judged(path="/srv", fixed=fixed, read_only=True)

    assert told(check) == (State.FAILED, "/srv is read-only for it")
    assert helps in remedy(check)


def test_a_directory_that_is_private_to_asterisk() -> None:
    check = judged(path="/tmp", here=None, problem=DirectoryProblem.PRIVATE)

    assert told(check) == (State.FAILED, "/tmp is private to it")
    assert remedy(check).startswith("systemctl edit asterisk.service and add [Service] PrivateTmp=no, then: ")


def test_what_is_private_by_other_means_is_left_for_another_directory() -> None:
    check = judged(path="/srv/a", here=None, problem=DirectoryProblem.PRIVATE)

    assert "[Service] WorkingDirectory=/var/lib/asterisk, then: " in remedy(check)


def test_a_private_tmp_is_where_a_core_is_saved_only_while_astbtd_runs() -> None:
    fleeting: dict[str, Any] = {"path": "/tmp", "problem": DirectoryProblem.FLEETING}

    assert told(judged(RUNS, **fleeting)) == (
        State.WARNING,
        "/tmp is private to it and goes with it: astbtd has a moment to save the core",
    )
    assert told(judged(IDLE, **fleeting)) == (
        State.FAILED,
        "/tmp is private to it and goes with it, and astbtd.service does not run to save the core before",
    )
    assert judged(Unknown("no systemd"), **fleeting).state is State.WARNING
    assert "[Service] PrivateTmp=no, then: " in remedy(judged(RUNS, **fleeting))


def test_a_private_tmp_that_is_not_writable_is_no_better_than_another_directory() -> None:
    check = judged(path="/tmp/x", problem=DirectoryProblem.FLEETING, uid=0, mode=0o755)

    assert told(check) == (State.FAILED, "/tmp/x is not writable by uid 110")


def test_a_directory_in_a_container() -> None:
    check = judged(path="/srv", here=None, problem=DirectoryProblem.CONTAINED)

    assert told(check) == (State.FAILED, "/srv is in a container, and not seen from here")
    assert "watch.directories in /etc/astbtd.yaml" in remedy(check)


def test_a_directory_that_is_not_there() -> None:
    check = judged(path="/var/c d", here=None, fixed=True, problem=DirectoryProblem.MISSING)

    assert told(check) == (State.FAILED, "/var/c d does not exist")
    assert remedy(check) == "install -d -m 1777 '/var/c d'"


def test_a_directory_that_is_there_for_everybody_else() -> None:
    check = judged(path="/srv/cores", here=None, fixed=True, problem=DirectoryProblem.HIDDEN)

    assert told(check) == (State.FAILED, "/srv/cores is hidden from it")
    assert remedy(check).startswith("install -d -m 1777 /var/cores && ")


def test_no_directory_is_needed_where_the_core_goes_to_a_program() -> None:
    assert core_directory(instance(directory=None), RUNS).state is State.OK
    assert blocked_core(instance(directory=None)).state is State.OK


def test_of_a_stopped_asterisk_both_are_unknown() -> None:
    stopped = instance(process=STOPPED, directory=STOPPED)

    assert {core_directory(stopped, RUNS).state, blocked_core(stopped).state} == {State.UNKNOWN}


OTHERS, OWN, FOLDER = (
    ExistingFile("core", 1000, False),
    ExistingFile("core", 110, False),
    ExistingFile("core", 110, True),
)


@pytest.mark.parametrize(
    ("entry", "mode", "owner", "capabilities", "blocked"),
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
def test_what_lies_where_the_core_is_to_be(
    entry: ExistingFile | None, mode: int, owner: int, capabilities: int, blocked: bool
) -> None:
    there = directory(entry=entry, mode=mode, uid=owner)
    asterisk = process(credentials=who(110, 115, capabilities=capabilities))

    check = blocked_core(instance(process=asterisk, directory=there))

    assert check.state is (State.FAILED if blocked else State.OK)


def test_what_is_in_the_way_is_moved_aside() -> None:
    there = directory(path="/tmp", here="/srv/a b", entry=OTHERS, mode=0o1777, uid=0)

    check = blocked_core(instance(directory=there))

    assert "/srv/a b/core belongs to uid 1000 in a sticky directory" in check.found
    assert remedy(check) == "mv '/srv/a b/core' '/srv/a b/core.old'"
