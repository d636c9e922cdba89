"""How Asterisk was started, and whether it dumps core."""

from dataclasses import replace

import pytest

from astbtd.readiness.checks.asterisk_start import check_asterisk, check_dumpcore
from astbtd.readiness.facts import STOPPED, Console, Instance, Limit, StartedBy
from astbtd.readiness.result import State, Unknown
from tests.support.readiness_facts import BUILT, FORBIDDEN, INSTANCE, WITHOUT_G, instance, remedy, result, unit

NOT_ASKED = instance(process=WITHOUT_G, console=Console(False, BUILT))
SILENT = instance(process=WITHOUT_G, console=Unknown("no answer"))


@pytest.mark.parametrize(
    ("manager", "by"),
    [
        (StartedBy.UNIT, "a systemd unit (asterisk.service)"),
        (StartedBy.SAFE_ASTERISK, "safe_asterisk"),
        (StartedBy.FREEPBX, "FreePBX (fwconsole)"),
        (StartedBy.HAND, "hand"),
    ],
)
def test_what_started_a_running_asterisk(manager: StartedBy, by: str) -> None:
    assert result(check_asterisk(instance(manager=manager))) == (
        State.OK,
        f"pid 42, started by {by}: /usr/sbin/asterisk",
    )


def test_a_stopped_asterisk_with_a_unit() -> None:
    check = check_asterisk(instance(process=STOPPED))

    assert result(check) == (State.UNKNOWN, "Asterisk is not running; asterisk.service would start it")
    assert remedy(check) == "systemctl start asterisk.service"


def test_a_stopped_asterisk_without_a_unit() -> None:
    assert remedy(check_asterisk(instance(process=STOPPED, unit=None))) == "start it, then: astbtd check"


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (INSTANCE, "-g is given"),
        (replace(NOT_ASKED, console=Console(True, BUILT)), "enabled according to `core show settings`"),
        (replace(SILENT, configured_dumpcore=True), "dumpcore = yes in /etc/asterisk/asterisk.conf"),
        (
            instance(process=STOPPED, unit=unit(ExecStart="{ path=/a ; argv[]=/usr/sbin/asterisk -g -f ; x=y }")),
            "-g is given",
        ),
    ],
)
def test_dumpcore_is_enabled(one: Instance, found: str) -> None:
    assert result(check_dumpcore(one)) == (State.OK, found)


def test_dumpcore_is_disabled() -> None:
    check = check_dumpcore(replace(NOT_ASKED, process=replace(WITHOUT_G, dumpable=False)))

    assert result(check) == (State.FAILED, "neither -g nor dumpcore = yes: Asterisk leaves no core")
    assert remedy(check) == (
        "set dumpcore = yes under [options] in /etc/asterisk/asterisk.conf, then: systemctl restart asterisk.service"
    )


def test_dumpcore_is_disabled_but_the_limits_allow_a_core() -> None:
    assert check_dumpcore(NOT_ASKED).state is State.WARNING
    assert check_dumpcore(replace(NOT_ASKED, process=replace(WITHOUT_G, core_limit=FORBIDDEN))).state is State.FAILED
    assert (
        check_dumpcore(replace(NOT_ASKED, process=replace(WITHOUT_G, core_limit=Limit(1, None)))).state is State.FAILED
    )


def test_dumpcore_was_enabled_after_the_start() -> None:
    set_later = replace(NOT_ASKED, configured_dumpcore=True)
    check = check_dumpcore(replace(set_later, process=replace(WITHOUT_G, core_limit=FORBIDDEN)))

    assert result(check) == (State.FAILED, "dumpcore = yes was set after Asterisk started")
    assert remedy(check) == "systemctl restart asterisk.service"
    assert check_dumpcore(set_later).state is State.WARNING


@pytest.mark.parametrize(
    ("limit", "state"),
    [("infinity", State.WARNING), ("0", State.FAILED), ("1", State.FAILED), ("1048576", State.WARNING)],
)
def test_dumpcore_has_the_same_answer_whether_asterisk_is_running_or_not(limit: str, state: State) -> None:
    start = unit(ExecStart="{ argv[]=/usr/sbin/asterisk -f ; }", LimitCORE="infinity", LimitCORESoft=limit)
    in_force = Limit.parse(limit, "infinity")
    running = instance(process=replace(WITHOUT_G, core_limit=in_force), console=Unknown("no answer"), unit=start)
    stopped = instance(process=STOPPED, console=STOPPED, unit=start)

    assert result(check_dumpcore(stopped)) == result(check_dumpcore(running))
    assert check_dumpcore(stopped).state is state


def test_a_process_that_will_change_its_user_leaves_no_core() -> None:
    changes = unit(ExecStart="{ argv[]=/usr/sbin/asterisk -f -U asterisk ; }", LimitCORESoft="infinity", User="")
    changed = unit(ExecStart="{ argv[]=/usr/sbin/asterisk -f -U asterisk ; }", LimitCORESoft="infinity", User="pbx")

    assert check_dumpcore(instance(process=STOPPED, console=STOPPED, unit=changes)).state is State.FAILED
    assert check_dumpcore(instance(process=STOPPED, console=STOPPED, unit=changed)).state is State.WARNING


def test_a_configuration_that_only_root_can_read() -> None:
    why = Unknown("asterisk.conf cannot be read", "sudo")

    assert result(check_dumpcore(replace(SILENT, configured_dumpcore=why))) == (
        State.UNKNOWN,
        "asterisk.conf cannot be read",
    )


@pytest.mark.parametrize("command", ["/usr/sbin/fwconsole start", "/usr/sbin/safe_asterisk", ""])
def test_dumpcore_of_an_asterisk_that_a_script_starts_is_unknown(command: str) -> None:
    stopped = instance(process=STOPPED, console=STOPPED, unit=unit(ExecStart=f"{{ argv[]={command} ; }}"))

    assert check_dumpcore(stopped).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        (StartedBy.UNIT, "systemctl restart asterisk.service"),
        (StartedBy.FREEPBX, "fwconsole restart"),
        (StartedBy.SAFE_ASTERISK, "asterisk -rx 'core restart gracefully'"),
        (StartedBy.HAND, "asterisk -rx 'core restart gracefully'"),
    ],
)
def test_the_restart_command_depends_on_what_started_asterisk(manager: StartedBy, command: str) -> None:
    assert remedy(check_dumpcore(replace(NOT_ASKED, manager=manager))).endswith(f", then: {command}")
