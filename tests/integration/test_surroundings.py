"""Missing kernel resources, users and groups are reported; no crash is lost, and the daemon keeps running."""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, DiscoveredBy, ExtractionOutcome
from tests.support.accounts import Accounts
from tests.support.harness import TIMEOUT, RunningDaemon, crash


def under_limits(running: RunningDaemon, **limits: int) -> None:
    """Start the daemon under limits of its own."""
    words = [f"{name}={value}" for name, value in limits.items()]
    running.wrapper = (sys.executable, "-m", "tests.support.limited", *words, "--")


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_without_inotify_watches_directories_are_polled(
    running: RunningDaemon, programs: Path, spool: Path, limit: str
) -> None:
    under_limits(running, **{limit: 0})
    running.start()
    assert f"{spool}: polled every two seconds, since the kernel grants no inotify watch" in running.manager.status
    for count in (1, 2):
        crash(programs, spool, "segv")
        recorded = running.wait_for_crashes(count)

    assert [each.core.found for each in recorded] == [DiscoveredBy.EVENT, DiscoveredBy.EVENT]
    assert [each.core.state for each in recorded] == [CoreState.KEPT, CoreState.KEPT]
    assert os.listdir(spool) == []
    assert running.output().count("the kernel grants no inotify watch") == 1


def test_inotify_is_used_once_watches_are_available(running: RunningDaemon, programs: Path, spool: Path) -> None:
    under_limits(running, max_inotify_watches=0)
    running.start()
    limits = ["nsenter", "--user", "--target", str(running.process.pid), "--preserve-credentials"]
    subprocess.run([*limits, "sh", "-c", "echo 100 >/proc/sys/user/max_inotify_watches"], check=True)
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "no inotify" not in running.manager.status, "inotify")

    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.EVENT


def test_the_user_of_asterisk_can_change_between_two_crashes(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    spool.chmod(0o777)
    running.start()
    owners = ["nobody", "daemon", "root"]
    for count, user in enumerate(owners, 1):
        crash(programs, spool, "segv", user=user)
        recorded = running.wait_for_crashes(count)

    assert [each.process.uid for each in reversed(recorded)] == [pwd.getpwnam(user).pw_uid for user in owners]
    assert {each.core.state for each in recorded} == {CoreState.KEPT}
    assert os.listdir(spool) == []


@pytest.fixture
def accounts(running: RunningDaemon, scratch: Path) -> Accounts:
    """Users and groups that only the daemon sees."""
    return Accounts.mounted_for(running, scratch)


def test_the_user_of_gdb_can_be_removed_and_created_again_while_the_daemon_runs(
    running: RunningDaemon, accounts: Accounts, programs: Path, spool: Path
) -> None:
    running.start()
    old = accounts.remove("astbtd-gdb")
    crash(programs, spool, "segv")
    assert running.wait_for_crashes(1)[0].extraction.ended is ExtractionOutcome.OK

    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "its user astbtd-gdb does not exist" in running.manager.status, "the status")
    crash(programs, spool, "segv")
    assert running.wait_for_crashes(2)[0].extraction.ended is ExtractionOutcome.OK

    accounts.add("astbtd-gdb", old + 7000)
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "does not exist" not in running.manager.status, "the status to be normal again")
    crash(programs, spool, "segv")
    assert running.wait_for_crashes(3)[0].extraction.ended is ExtractionOutcome.OK
    assert "Traceback" not in running.output()


def test_without_the_user_of_gdb_the_daemon_does_not_start_and_loses_nothing(
    running: RunningDaemon, accounts: Accounts, programs: Path, spool: Path
) -> None:
    old = accounts.remove("astbtd-gdb")
    core = crash(programs, spool, "segv")
    running.launch()
    assert running.process.wait(TIMEOUT) == 1
    assert "its user astbtd-gdb does not exist" in running.output()
    assert core.exists()

    accounts.add("astbtd-gdb", old + 7000)
    running.start()

    assert running.wait_for_crashes(1)[0].core.state is CoreState.KEPT


def test_the_group_of_readers_can_be_removed_and_created_again(
    running: RunningDaemon, accounts: Accounts, programs: Path, spool: Path
) -> None:
    running.start()
    old = accounts.remove("astbtd")
    accounts.add("astbtd", old + 7000)
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration reloaded" in running.output(), "the reload")
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    assert (running.store.directory(recorded.id) / "report.txt").stat().st_gid == old + 7000


def test_a_reload_takes_effect_at_the_next_crash_and_loses_none(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    other = scratch / "other"
    other.mkdir()
    both = {"directories": [str(spool), str(other)]}
    changes: list[tuple[dict[str, object], Path, CoreState]] = [
        ({"watch": both}, other, CoreState.KEPT),
        ({"watch": both, "cores": {"action": "delete"}}, spool, CoreState.REMOVED),
        ({"watch": both, "cores": {"action": "leave"}, "gdb": {"time": "1min"}}, other, CoreState.LEFT),
        ({"watch": both, "extract": {"symbols": "all"}, "retention": {"every": "1s"}}, spool, CoreState.KEPT),
        ({"watch": {"directories": [str(spool)]}}, spool, CoreState.KEPT),
    ]
    running.start()
    for count, (settings, directory, state) in enumerate(changes, 1):
        running.configure(settings)
        running.reload()
        crash(programs, scratch, "segv").rename(directory / f"core.{count}")
        assert running.wait_for_crashes(count)[0].core.state is state
    assert "Traceback" not in running.output()
