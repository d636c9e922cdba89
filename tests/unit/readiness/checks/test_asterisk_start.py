"""How Asterisk runs, and whether it was told to dump core."""

from dataclasses import replace

import pytest

from astbtd.readiness.checks.asterisk_start import asterisk, dumpcore
from astbtd.readiness.facts import STOPPED, Console, Instance, Limit, StartedBy
from astbtd.readiness.result import State, Unknown
from tests.support.readiness_facts import BUILT, FORBIDDEN, INSTANCE, WITHOUT_G, instance, remedy, told, unit

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
def test_how_it_runs(manager: StartedBy, by: str) -> None:
    assert told(asterisk(instance(manager=manager))) == (State.OK, f"pid 42, started by {by}: /usr/sbin/asterisk")


def test_one_that_is_stopped_can_be_started_by_its_unit() -> None:
    check = asterisk(instance(process=STOPPED))

    assert told(check) == (State.UNKNOWN, "Asterisk does not run; asterisk.service would start it")
    assert remedy(check) == "systemctl start asterisk.service"


def test_one_that_is_stopped_and_has_no_unit() -> None:
    assert remedy(asterisk(instance(process=STOPPED, unit=None))) == "start it, then: astbtd check"


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (INSTANCE, "-g is given"),
        (replace(NOT_ASKED, console=Console(True, BUILT)), "Asterisk says that it dumps core (core show settings)"),
        (replace(SILENT, configured_dumpcore=True), "dumpcore = yes in /etc/asterisk/asterisk.conf"),
        (
            instance(process=STOPPED, unit=unit(ExecStart="{ path=/a ; argv[]=/usr/sbin/asterisk -g -f ; x=y }")),
            "-g is given",
        ),
    ],
)
def test_told_to_dump_core(one: Instance, found: str) -> None:
    assert told(dumpcore(one)) == (State.OK, found)


def test_not_told_to_dump_core() -> None:
    check = dumpcore(replace(NOT_ASKED, process=replace(WITHOUT_G, dumpable=False)))

    assert told(check) == (State.FAILED, "neither -g nor dumpcore = yes: Asterisk leaves no core")
    assert remedy(check) == (
        "set dumpcore = yes under [options] in /etc/asterisk/asterisk.conf, then: systemctl restart asterisk.service"
    )


def test_not_told_but_able_all_the_same() -> None:
    assert dumpcore(NOT_ASKED).state is State.WARNING
    assert dumpcore(replace(NOT_ASKED, process=replace(WITHOUT_G, core_limit=FORBIDDEN))).state is State.FAILED
    assert dumpcore(replace(NOT_ASKED, process=replace(WITHOUT_G, core_limit=Limit(1, None)))).state is State.FAILED


def test_told_only_after_it_started() -> None:
    check = dumpcore(replace(NOT_ASKED, configured_dumpcore=True))

    assert told(check) == (State.FAILED, "dumpcore = yes was set after Asterisk started")
    assert remedy(check) == "systemctl restart asterisk.service"


def test_a_configuration_that_only_root_may_read() -> None:
    why = Unknown("asterisk.conf cannot be read", "sudo")

    assert told(dumpcore(replace(SILENT, configured_dumpcore=why))) == (State.UNKNOWN, "asterisk.conf cannot be read")


@pytest.mark.parametrize("command", ["/usr/sbin/fwconsole start", "/usr/sbin/safe_asterisk", ""])
def test_a_stopped_one_whose_command_line_is_somebody_elses_is_unknown(command: str) -> None:
    stopped = instance(process=STOPPED, console=STOPPED, unit=unit(ExecStart=f"{{ argv[]={command} ; }}"))

    assert dumpcore(stopped).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        (StartedBy.UNIT, "systemctl restart asterisk.service"),
        (StartedBy.FREEPBX, "fwconsole restart"),
        (StartedBy.SAFE_ASTERISK, "asterisk -rx 'core restart gracefully'"),
        (StartedBy.HAND, "asterisk -rx 'core restart gracefully'"),
    ],
)
def test_it_is_started_again_by_whoever_started_it(manager: StartedBy, command: str) -> None:
    assert remedy(dumpcore(replace(NOT_ASKED, manager=manager))).endswith(f", then: {command}")
