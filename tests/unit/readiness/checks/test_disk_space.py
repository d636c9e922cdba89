"""Disk space for the core, and for the store."""

import pytest

from astbtd.readiness.checks.disk_space import check_core_space, check_store_space
from astbtd.readiness.facts import STOPPED, DirectoryProblem, Disk
from astbtd.readiness.result import State, Unknown
from astbtd.settings import Limits, RetentionSettings
from tests.support.readiness_facts import directory, instance, process, remedy, result

GIB = 1 << 30
LIMITS = RetentionSettings(cores=Limits(age=1.0, size=4 * GIB), minimum_free=0.1)


def test_enough_space_for_a_core() -> None:
    found = "10G free in /var/lib/asterisk, a core takes 100M"

    assert result(check_core_space(instance())) == (State.OK, found)


def test_too_little_space_for_a_core() -> None:
    check = check_core_space(instance(directory=directory(path="/srv/a b", free=40 << 20)))

    assert result(check) == (State.FAILED, "40M free in /srv/a b, a core takes 100M: it would be truncated")
    assert remedy(check) == "free 60M there: df -h '/srv/a b'"


def test_no_space_is_needed_if_the_core_is_piped_to_a_program() -> None:
    assert check_core_space(instance(directory=None)) is None


@pytest.mark.parametrize(
    "problem", [DirectoryProblem.MISSING, DirectoryProblem.HIDDEN, DirectoryProblem.PRIVATE, DirectoryProblem.CONTAINED]
)
def test_the_space_of_an_inaccessible_directory_is_not_checked(problem: DirectoryProblem) -> None:
    assert check_core_space(instance(directory=directory(host_path=None, problem=problem, free=0))) is None


def test_the_space_for_a_stopped_asterisk_is_unknown() -> None:
    assert result(check_core_space(instance(process=STOPPED)))[0] is State.UNKNOWN
    assert result(check_core_space(instance(directory=Unknown("x"), process=process())))[0] is State.UNKNOWN


def test_enough_space_in_the_store() -> None:
    check = check_store_space(Disk("/s", free=20 * GIB, total=100 * GIB), LIMITS, GIB)

    assert result(check) == (State.OK, "20G free in /s, 10G of it reserved")


def test_a_core_that_would_use_the_reserve_of_the_store() -> None:
    check = check_store_space(Disk("/s", free=10 * GIB, total=100 * GIB), LIMITS, GIB)

    assert result(check) == (State.WARNING, "10G free in /s, 10G of it reserved: cores are not kept")
    assert remedy(check) == "free 1.0G there: df -h /s"


def test_a_core_that_exceeds_the_limit_on_kept_cores() -> None:
    check = check_store_space(Disk("/s", free=90 * GIB, total=100 * GIB), LIMITS, 5 * GIB)

    assert result(check) == (State.WARNING, "retention.cores.size is 4.0G, a core takes 5.0G")
    assert remedy(check) == "raise retention.cores.size in /etc/astbtd.yaml to 6G"
