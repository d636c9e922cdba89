"""Room for the core, and for what is kept of it."""

import pytest

from astbtd.readiness.checks.disk_space import core_space, store_space
from astbtd.readiness.facts import STOPPED, DirectoryProblem, Disk
from astbtd.readiness.result import State, Unknown
from astbtd.settings import Limits, RetentionSettings
from tests.support.readiness_facts import directory, instance, process, remedy, told

GIB = 1 << 30
LIMITS = RetentionSettings(cores=Limits(age=1.0, size=4 * GIB), minimum_free=0.1)


def test_room_for_a_core() -> None:
    found = "10G free in /var/lib/asterisk, a core takes 100M"

    assert told(core_space(instance())) == (State.OK, found)


def test_no_room_for_a_core() -> None:
    check = core_space(instance(directory=directory(path="/srv/a b", free=40 << 20)))

    assert told(check) == (State.FAILED, "40M free in /srv/a b, a core takes 100M: it would be cut short")
    assert remedy(check) == "free 60M there: df -h '/srv/a b'"


def test_no_room_is_needed_where_the_core_goes_to_a_program() -> None:
    assert core_space(instance(directory=None)) is None


@pytest.mark.parametrize(
    "problem", [DirectoryProblem.MISSING, DirectoryProblem.HIDDEN, DirectoryProblem.PRIVATE, DirectoryProblem.CONTAINED]
)
def test_a_directory_that_we_do_not_see_has_no_room_to_judge(problem: DirectoryProblem) -> None:
    assert core_space(instance(directory=directory(here=None, problem=problem, free=0))) is None


def test_of_a_stopped_asterisk_the_room_is_unknown() -> None:
    assert told(core_space(instance(process=STOPPED)))[0] is State.UNKNOWN
    assert told(core_space(instance(directory=Unknown("x"), process=process())))[0] is State.UNKNOWN


def test_room_in_the_store() -> None:
    check = store_space(Disk("/s", free=20 * GIB, total=100 * GIB), LIMITS, GIB)

    assert told(check) == (State.OK, "20G free in /s, of which 10G stay free")


def test_a_core_would_eat_into_the_reserve_of_the_store() -> None:
    check = store_space(Disk("/s", free=10 * GIB, total=100 * GIB), LIMITS, GIB)

    assert told(check) == (State.WARNING, "10G free in /s, of which 10G stay free: cores are not kept")
    assert remedy(check) == "free 1.0G there: df -h /s"


def test_a_core_that_is_larger_than_all_that_is_kept() -> None:
    check = store_space(Disk("/s", free=90 * GIB, total=100 * GIB), LIMITS, 5 * GIB)

    assert told(check) == (State.WARNING, "retention.cores.size is 4.0G, a core takes 5.0G")
    assert remedy(check) == "raise retention.cores.size in /etc/astbtd.yaml to 6G"
