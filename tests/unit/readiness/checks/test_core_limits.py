"""Limits on the core of Asterisk, and the dumpable flag."""

from dataclasses import replace
from mmap import PAGESIZE

import pytest

from astbtd.readiness.checks.core_limits import check_core_limit, check_dumpable, check_unit_core_limit
from astbtd.readiness.facts import STOPPED, Instance, Limit
from astbtd.readiness.result import State, Unknown
from tests.support.readiness_facts import FORBIDDEN, WITHOUT_G, instance, kernel, process, remedy, result, unit


def limited(soft: int | None, hard: int | None = None) -> Instance:
    return instance(process=process(core_limit=Limit(soft, hard)))


@pytest.mark.parametrize("soft", [0, 1, PAGESIZE - 1])
def test_no_core_is_written_with_a_limit_below_one_page(soft: int) -> None:
    check = check_core_limit(limited(soft))

    assert result(check) == (State.FAILED, f"RLIMIT_CORE is {soft}: no core is written")
    assert remedy(check) == (
        "prlimit --pid 42 --core=unlimited; permanently: "
        "systemctl edit asterisk.service and add [Service] LimitCORE=infinity, then: systemctl restart asterisk.service"
    )


def test_without_a_unit_the_permanent_remedy_is_dumpcore() -> None:
    one = instance(unit=None, process=replace(WITHOUT_G, core_limit=FORBIDDEN))

    assert "; permanently: set dumpcore = yes under [options]" in remedy(check_core_limit(one))


def test_with_g_and_a_hard_limit_the_permanent_remedy_is_to_raise_that() -> None:
    one = instance(unit=None, process=process(core_limit=FORBIDDEN))

    permanent = remedy(check_core_limit(one)).partition("; permanently: ")[2]
    assert permanent.startswith("-g is given, but only root can raise the hard limit of 0: run ulimit -c unlimited")
    assert "/etc/security/limits.d/" in permanent


def test_with_g_and_no_hard_limit_something_lowered_it_after_the_start() -> None:
    one = instance(unit=None, process=process(core_limit=Limit(0, None)))

    assert "; permanently: find out what lowers it after the start" in remedy(check_core_limit(one))


def test_a_limit_below_the_size_of_the_process_truncates_the_core() -> None:
    assert result(check_core_limit(limited(50 << 20))) == (
        State.WARNING,
        "RLIMIT_CORE is 50M: a core of 100M is truncated",
    )


@pytest.mark.parametrize(("soft", "found"), [(None, "unlimited"), (200 << 20, "200M")])
def test_a_sufficient_limit(soft: int | None, found: str) -> None:
    assert result(check_core_limit(limited(soft))) == (State.OK, found)


def test_the_limit_of_a_stopped_asterisk_is_unknown() -> None:
    assert check_core_limit(instance(process=STOPPED)).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("command", "user", "soft", "hard", "state"),
    [
        ("asterisk -g", "", "0", "0", State.OK),  # root lifts any limit
        ("asterisk -g", "root", "1", "1", State.OK),
        ("asterisk -g", "asterisk", "0", "infinity", State.OK),  # anyone reaches the hard limit
        ("asterisk -g", "asterisk", "0", "0", State.FAILED),
        ("asterisk", "", "infinity", "infinity", State.OK),
        ("asterisk", "", "0", "infinity", State.FAILED),
        ("asterisk", "asterisk", "1", "infinity", State.FAILED),
    ],
)
def test_the_limit_after_a_start_by_the_unit(command: str, user: str, soft: str, hard: str, state: State) -> None:
    argv = f"{{ path=/usr/sbin/asterisk ; argv[]=/usr/sbin/{command} ; }}"
    settings = unit(ExecStart=argv, User=user, LimitCORESoft=soft, LimitCORE=hard)

    check = check_unit_core_limit(instance(process=STOPPED, unit=settings))

    assert result(check)[0] is state
    assert result(check)[1].startswith(f"asterisk.service: LimitCORE={hard}")


def test_a_unit_without_cores_is_a_warning_while_the_process_allows_them() -> None:
    forbidding = unit(User="asterisk", LimitCORESoft="0", LimitCORE="0")

    check = check_unit_core_limit(instance(unit=forbidding))

    assert result(check) == (State.WARNING, "asterisk.service: LimitCORE=0: no core is written after the next start")
    assert "LimitCORE=infinity" in remedy(check)


def test_the_limit_after_a_start_by_a_script_is_unknown() -> None:
    by_script = unit(ExecStart="{ argv[]=/usr/sbin/fwconsole start ; }", LimitCORESoft="0", LimitCORE="infinity")

    assert result(check_unit_core_limit(instance(process=STOPPED, unit=by_script)))[0] is State.UNKNOWN


def test_without_a_unit_there_is_no_check() -> None:
    assert check_unit_core_limit(instance(unit=None)) is None


def test_a_process_that_is_not_dumpable() -> None:
    check = check_dumpable(instance(process=process(dumpable=False)), kernel("core"))

    assert result(check) == (State.FAILED, "no, since it changed to uid 110: the kernel writes no core")
    assert remedy(check).startswith("set dumpcore = yes under [options]")


@pytest.mark.parametrize(
    ("pattern", "state"),
    [("core", State.FAILED), ("/var/cores/core.%p", State.OK), ("|/usr/lib/systemd/systemd-coredump", State.OK)],
)
def test_with_suid_dumpable_2_a_core_is_written_except_to_a_relative_path(pattern: str, state: State) -> None:
    one = instance(process=process(dumpable=False))

    assert check_dumpable(one, kernel(pattern, suid_dumpable=2)).state is state
    assert check_dumpable(one, kernel(pattern, suid_dumpable=0)).state is State.FAILED


def test_a_process_that_is_dumpable() -> None:
    assert result(check_dumpable(instance(process=WITHOUT_G), Unknown("no core_pattern"))) == (State.OK, "as uid 110")
