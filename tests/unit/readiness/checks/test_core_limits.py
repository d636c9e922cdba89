"""What the kernel lets Asterisk dump."""

import pytest

from astbtd.readiness.checks.core_limits import core_limit, dumpable, unit_core_limit
from astbtd.readiness.facts import STOPPED, Instance, Limit
from astbtd.readiness.result import State, Unknown
from tests.support.readiness_facts import FORBIDDEN, WITHOUT_G, instance, kernel, process, remedy, told, unit


def limited(soft: int | None, hard: int | None = None) -> Instance:
    return instance(process=process(core_limit=Limit(soft, hard)))


@pytest.mark.parametrize("soft", [0, 1, 4095])
def test_a_limit_below_a_page_is_no_core(soft: int) -> None:
    check = core_limit(limited(soft))

    assert told(check) == (State.FAILED, f"RLIMIT_CORE is {soft}: no core is written")
    assert remedy(check) == (
        "prlimit --pid 42 --core=unlimited; for good: "
        "systemctl edit asterisk.service and add [Service] LimitCORE=infinity, then: systemctl restart asterisk.service"
    )


def test_without_a_unit_it_is_asterisk_itself_that_lifts_the_limit_for_good() -> None:
    one = instance(unit=None, process=process(core_limit=FORBIDDEN))

    assert "; for good: set dumpcore = yes under [options]" in remedy(core_limit(one))


def test_a_limit_below_the_size_of_the_process_cuts_the_core() -> None:
    assert told(core_limit(limited(50 << 20))) == (State.WARNING, "RLIMIT_CORE is 50M: a core of 100M is cut short")


@pytest.mark.parametrize(("soft", "found"), [(None, "unlimited"), (200 << 20, "200M")])
def test_a_limit_that_is_enough(soft: int | None, found: str) -> None:
    assert told(core_limit(limited(soft))) == (State.OK, found)


def test_of_a_stopped_asterisk_the_limit_is_unknown() -> None:
    assert core_limit(instance(process=STOPPED)).state is State.UNKNOWN


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
def test_the_limit_that_a_unit_leads_to(command: str, user: str, soft: str, hard: str, state: State) -> None:
    argv = f"{{ path=/usr/sbin/asterisk ; argv[]=/usr/sbin/{command} ; }}"
    settings = unit(ExecStart=argv, User=user, LimitCORESoft=soft, LimitCORE=hard)

    check = unit_core_limit(instance(process=STOPPED, unit=settings))

    assert told(check)[0] is state
    assert told(check)[1].startswith(f"asterisk.service: LimitCORE={hard}")


def test_a_unit_that_forbids_cores_while_the_process_has_them_is_a_warning() -> None:
    forbidding = unit(User="asterisk", LimitCORESoft="0", LimitCORE="0")

    check = unit_core_limit(instance(unit=forbidding))

    assert told(check) == (State.WARNING, "asterisk.service: LimitCORE=0: no core is written after the next start")
    assert "LimitCORE=infinity" in remedy(check)


def test_what_a_script_makes_of_the_limit_is_unknown_until_it_runs() -> None:
    by_script = unit(ExecStart="{ argv[]=/usr/sbin/fwconsole start ; }", LimitCORESoft="0", LimitCORE="infinity")

    assert told(unit_core_limit(instance(process=STOPPED, unit=by_script)))[0] is State.UNKNOWN


def test_no_unit_no_check() -> None:
    assert unit_core_limit(instance(unit=None)) is None


def test_a_process_that_is_not_dumpable() -> None:
    check = dumpable(instance(process=process(dumpable=False)), kernel("core"))

    assert told(check) == (State.FAILED, "not since it became uid 110: the kernel dumps no core of it")
    assert remedy(check).startswith("set dumpcore = yes under [options]")


@pytest.mark.parametrize(
    ("pattern", "state"),
    [("core", State.FAILED), ("/var/cores/core.%p", State.OK), ("|/usr/lib/systemd/systemd-coredump", State.OK)],
)
def test_with_suid_dumpable_2_it_is_dumped_all_the_same_but_into_no_relative_path(pattern: str, state: State) -> None:
    one = instance(process=process(dumpable=False))

    assert dumpable(one, kernel(pattern, suid_dumpable=2)).state is state
    assert dumpable(one, kernel(pattern, suid_dumpable=0)).state is State.FAILED


def test_a_process_that_is_dumpable() -> None:
    assert told(dumpable(instance(process=WITHOUT_G), Unknown("no core_pattern"))) == (State.OK, "as uid 110")
