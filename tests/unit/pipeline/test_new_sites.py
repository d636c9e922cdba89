"""How many new sites of one program appeared within the window."""

from dataclasses import replace

from astbtd.model.crash import Crash, Site
from astbtd.pipeline.crash_site import program_key, site_key
from astbtd.pipeline.new_sites import MOST, NewSites
from tests.support.builders import crash

PROGRAM = program_key(crash().process)


def at_site(minutes: float, site: str | None, uid: int = 110) -> Crash:
    made = crash(minutes, pid=int(minutes * 60) + 1)
    return replace(made, site=Site(site) if site else None, process=replace(made.process, uid=uid))


def recorded(*crashes: Crash) -> NewSites:
    sites = NewSites()
    for each in crashes:
        sites.record(each)
    return sites


def test_more_than_the_most_new_sites_are_many() -> None:
    sites = recorded(*(at_site(number, f"site {number}") for number in range(MOST - 1)))
    assert not sites.are_many(PROGRAM, crash(5).crashed_at)

    sites.record(at_site(5, "one more"))

    assert sites.are_many(PROGRAM, crash(5).crashed_at)


def test_one_site_counts_once() -> None:
    sites = recorded(*(at_site(number / 10, "same") for number in range(50)))

    assert not sites.are_many(PROGRAM, crash(5).crashed_at)
    assert not sites.is_new(PROGRAM, site_key(crash().process, Site("same")))
    assert sites.is_new(PROGRAM, site_key(crash().process, Site("other")))


def test_crashes_without_a_site_count_each() -> None:
    sites = recorded(*(at_site(number / 10, None) for number in range(MOST)))

    assert sites.are_many(PROGRAM, crash(1).crashed_at)
    assert sites.is_new(PROGRAM, None)


def test_sites_outside_the_window_do_not_count() -> None:
    sites = recorded(*(at_site(number, f"site {number}") for number in range(MOST)))

    assert not sites.are_many(PROGRAM, crash(20).crashed_at)
    sites.record(at_site(20, "later"))
    assert not sites.are_many(PROGRAM, crash(4).crashed_at)  # forgotten


def test_sites_of_another_user_do_not_count() -> None:
    sites = recorded(*(at_site(number, f"site {number}", uid=1000) for number in range(50)))

    assert not sites.are_many(PROGRAM, crash(5).crashed_at)
