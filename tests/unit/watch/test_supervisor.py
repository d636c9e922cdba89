"""The supervisor watches local and remote directories, and follows changes of what has to be watched."""

import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from astbtd.claims.claim import Claims
from astbtd.claims.finder import CoreClaimed, CoreFinder
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.settings import AsteriskSettings, CoreSettings, Settings, WatchSettings
from astbtd.sources import core_pattern, watched_directories
from astbtd.sources.watched_directories import WatchedDirectories, WatchedDirectory
from astbtd.watch import inotify, remote_scanner, supervisor
from astbtd.watch.directory_watch import DirectoryCreated, FileWritten, RescanNeeded
from astbtd.watch.polling import Polling
from astbtd.watch.supervisor import WatchSupervisor
from tests.support.builders import DeadProcess
from tests.support.finding import TIMEOUT, HangingQueue, Queue, make_finder
from tests.support.fixture_types import Dump


@dataclass
class Machine:
    """What the supervisor finds when it asks which directories to watch: without the processes of this machine."""

    directories: WatchedDirectories

    def find_current(self, settings: Settings, _: Path) -> WatchedDirectories:
        configured = (*settings.watch.directories, *settings.watch.poll)
        cores = tuple(dict.fromkeys((*configured, *self.directories.core_directories)))
        return replace(self.directories, core_directories=cores)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(WatchedDirectories())
    monkeypatch.setattr(watched_directories, "find_current", machine.find_current)
    monkeypatch.setattr(remote_scanner, "_INTERVAL", 0.02)
    monkeypatch.setattr(remote_scanner, "Polling", lambda: Polling(0.02))
    return machine


Supervise = Callable[..., WatchSupervisor]


@pytest.fixture
def supervise(finder: CoreFinder, tmp_path: Path) -> Iterator[Supervise]:
    """Makes supervisors, which are closed at the end."""
    made: list[WatchSupervisor] = []

    def make(*directories: Path, poll: tuple[Path, ...] = (), by: CoreFinder = finder) -> WatchSupervisor:
        made.append(WatchSupervisor(settings(*directories, poll=poll), by, tmp_path / "known"))
        return made[-1]

    yield make
    for each in made:
        each.close()


def settings(*directories: Path, poll: tuple[Path, ...] = ()) -> Settings:
    """Directories to watch; those in `poll` count as remote."""
    return Settings(watch=WatchSettings(tuple(map(str, directories)), tuple(map(str, poll))))


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A directory that is to be polled."""
    directory = tmp_path / "remote"
    directory.mkdir()
    return directory


def write_core(directory: Path, name: str = "core", pid: int = 4242) -> Path:
    path = directory / name
    path.write_bytes(DeadProcess(pid=pid).core())
    return path


def wait_until(supervisor: WatchSupervisor, queue: Queue, condition: Callable[[], bool]) -> None:
    """Process events, as the main loop does, until the condition is true."""
    deadline = time.monotonic() + TIMEOUT
    queue.add(supervisor.process_events())
    while not condition():
        readable, _, _ = select.select([supervisor.fileno()], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, "waited in vain"
        queue.add(supervisor.process_events())


def test_cores_are_claimed_at_the_start_and_when_they_are_written(
    supervise: Supervise, queue: Queue, spool: Path
) -> None:
    write_core(spool)
    watching = supervise(spool)

    queue.add(watching.start(quiet=True))
    assert [(claim.record.found, claim.record.quiet) for claim in queue.claims] == [(DiscoveredBy.START, True)]

    write_core(spool, "core.2", pid=5000)
    wait_until(watching, queue, lambda: len(queue.claims) == 2)
    assert queue.claims[1].record.found is DiscoveredBy.EVENT


def test_remote_cores_are_claimed_at_the_start_and_when_they_are_written(
    supervise: Supervise, queue: Queue, spool: Path, remote: Path
) -> None:
    write_core(remote)
    watching = supervise(spool, poll=(remote,))

    queue.add(watching.start(quiet=False))
    assert queue.names() == ["core"]
    assert watching.has_remote_scanners
    assert set(watching.watched) == {str(spool), str(remote)}

    write_core(remote, "core.2", pid=5000)
    wait_until(watching, queue, lambda: len(queue.claims) == 2)


def test_a_remote_claim_is_finished_by_its_scanner(
    supervise: Supervise, queue: Queue, claims: Claims, remote: Path
) -> None:
    path = write_core(remote)
    watching = supervise(poll=(remote,))
    queue.add(watching.start(quiet=False))
    (claim,) = queue.take_all()
    (scanner,) = watching._remote.values()
    assert claim.owner is scanner

    claims.finish(claim, remove_original=True)
    scanner.start(DiscoveredBy.SCAN, quiet=False).wait(TIMEOUT)  # requests are carried out in order

    assert not path.exists()


def test_a_directory_that_is_configured_later_is_scanned(
    supervise: Supervise, queue: Queue, claims: Claims, spool: Path, remote: Path
) -> None:
    watching = supervise()
    queue.add(watching.start(quiet=False))
    write_core(spool)
    write_core(remote, pid=5000)

    queue.add(watching.update_settings(settings(spool, poll=(remote,)), claims))

    wait_until(watching, queue, lambda: len(queue.claims) == 2)


def test_new_settings_are_used_by_all_scanners(
    supervise: Supervise, queue: Queue, claims: Claims, spool: Path, remote: Path
) -> None:
    for number, directory in enumerate((spool, remote)):
        (directory / "core").write_bytes(DeadProcess(pid=number + 1, mapped=("/opt/pbxd",)).core())
    watching = supervise(spool, poll=(remote,))
    queue.add(watching.start(quiet=False))
    assert len(queue.refused) == 2
    changed = replace(
        settings(spool, poll=(remote,)),
        asterisk=AsteriskSettings(executables=("pbxd",)),
        cores=CoreSettings(action=CoreAction.LEAVE),
    )

    queue.add(watching.update_settings(changed, claims))

    wait_until(watching, queue, lambda: len(queue.claims) == 2)
    assert all(claim.record.copied for claim in queue.claims)


def test_a_rescan_reaches_the_remote_scanners(supervise: Supervise, queue: Queue, claims: Claims, remote: Path) -> None:
    write_core(remote)
    watching = supervise(poll=(remote,))
    queue.add(watching.start(quiet=False))
    (claim,) = queue.take_all()
    claims.suspend(claim)

    queue.add(watching.rescan())

    wait_until(watching, queue, lambda: len(queue.claims) == 1)


def test_a_remote_scanner_is_started_for_a_mount_on_which_only_a_claim_is_left(
    supervise: Supervise, queue: Queue, claims: Claims, spool: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_core(remote)
    earlier = make_finder(claims, queue)
    queue.add(earlier.examine_entry(WatchedDirectory(str(remote)), "core", DiscoveredBy.EVENT))
    queue.close()
    watching = supervise(spool, poll=(remote,))
    only_spool = WatchedDirectories(core_directories=(str(spool),))
    monkeypatch.setattr(watched_directories, "find_current", lambda *_: only_spool)

    queue.add(watching.start(quiet=False))

    assert queue.names() == ["core"]
    assert watching.watched == (str(spool),)


def test_the_remote_scanner_of_a_mount_that_is_no_longer_used_is_retired(
    supervise: Supervise, queue: Queue, claims: Claims, spool: Path, remote: Path
) -> None:
    watching = supervise(spool, poll=(remote,))
    queue.add(watching.start(quiet=False))
    assert watching.has_remote_scanners

    queue.add(watching.update_settings(settings(spool), claims))

    assert not watching.has_remote_scanners


def test_the_directories_are_determined_again_when_asterisk_starts(
    supervise: Supervise, queue: Queue, spool: Path, tmp_path: Path, machine: Machine
) -> None:
    run_directory = tmp_path / "run"
    run_directory.mkdir()
    machine.directories = WatchedDirectories(run_directories=(str(run_directory),))
    watching = supervise()
    queue.add(watching.start(quiet=False))
    queue.add(watching.process_events())
    write_core(spool)

    machine.directories = replace(machine.directories, core_directories=(str(spool),), process_ids=frozenset((4242,)))
    (run_directory / "unrelated").touch()
    queue.add(watching.process_events())
    assert watching.asterisks == frozenset()
    (run_directory / "asterisk.ctl").touch()
    queue.add(watching.process_events())

    assert watching.asterisks == {4242}
    assert queue.names() == ["core"]


def test_the_directories_are_determined_again_when_one_may_have_been_created(
    supervise: Supervise, queue: Queue, tmp_path: Path, machine: Machine
) -> None:
    machine.directories = WatchedDirectories(parents=(str(tmp_path),))
    watching = supervise()
    queue.add(watching.start(quiet=False))
    queue.add(watching.process_events())
    machine.directories = replace(machine.directories, core_directories=(str(tmp_path / "new"),))

    (tmp_path / "file").touch()
    queue.add(watching.process_events())
    assert watching.watched == ()
    (tmp_path / "new").mkdir()
    write_core(tmp_path / "new")
    queue.add(watching.process_events())

    assert queue.names() == ["core"]


@pytest.mark.parametrize(
    ("hint", "affects"),
    [
        (FileWritten(str(core_pattern.KERNEL_DIRECTORY), "core_pattern"), True),
        (FileWritten(str(core_pattern.KERNEL_DIRECTORY), "hostname"), False),
        (RescanNeeded(str(core_pattern.KERNEL_DIRECTORY)), True),
        (RescanNeeded("/srv"), False),
        (DirectoryCreated("/srv", "core_pattern"), False),
    ],
)
def test_the_settings_of_the_kernel_affect_the_directories(
    supervise: Supervise, hint: FileWritten | RescanNeeded | DirectoryCreated, affects: bool
) -> None:
    assert supervise()._affects_directories(hint) is affects


def test_a_change_of_the_mounts_is_followed(
    supervise: Supervise, queue: Queue, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = supervise(spool)
    queue.add(watching.start(quiet=False))
    monkeypatch.setattr(watching, "_mounts", replace(watching._mounts, mounts=()))

    queue.add(watching.process_events())

    assert watching._mounts.mounts != ()


def test_postponed_and_incomplete_cores_are_rechecked(
    supervise: Supervise, queue: Queue, spool: Path, dump: Dump
) -> None:
    queue.found = 0
    dump()
    watching = supervise(spool)
    queue.add(watching.start(quiet=False))
    assert watching.has_postponed
    queue.found = 1
    queue.add(watching.recheck_postponed())
    assert queue.names() == ["core"]
    assert not watching.has_postponed

    with dump(DeadProcess(pid=5000), "core.2").open("ab"):
        queue.add(watching.process_events())
        assert watching.has_incomplete
    queue.add(watching.recheck_incomplete())
    assert queue.names() == ["core", "core.2"]


def test_postponed_remote_cores_are_reported(supervise: Supervise, queue: Queue, remote: Path) -> None:
    queue.found = 0
    write_core(remote)
    watching = supervise(poll=(remote,))

    queue.add(watching.start(quiet=False))

    assert watching.has_postponed


def test_missing_directories_are_reported_if_they_are_configured(
    supervise: Supervise, queue: Queue, spool: Path, remote: Path, machine: Machine, tmp_path: Path
) -> None:
    machine.directories = WatchedDirectories(
        core_directories=(str(tmp_path / "gone"),), unwatched=("core_pattern has no directory",)
    )
    spool.rmdir()
    remote.rmdir()
    watching = supervise(spool, poll=(remote,))

    queue.add(watching.start(quiet=False))

    assert watching.unwatched() == (
        "not watched: core_pattern has no directory",
        f"not watched: {spool} cannot be watched",
        f"not watched: {remote} cannot be watched",
    )


def test_a_core_that_cannot_be_claimed_is_a_problem(
    supervise: Supervise, queue: Queue, spool: Path, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump()

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("astbtd.lib.files.write_all", fail)
    watching = supervise(spool)

    queue.add(watching.start(quiet=False))

    assert [problem.startswith(f"{path}: ") for problem in watching.problems()] == [True]


def test_directories_that_are_polled_because_inotify_was_refused_are_reported_and_watched_again(
    supervise: Supervise, queue: Queue, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError("Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(inotify, "Inotify", refuse)
        watching = supervise(spool)
        queue.add(watching.start(quiet=False))
        assert [sentence.startswith(f"{spool}: polled") for sentence in watching.unwatched()] == [True]

    queue.add(watching.rescan())

    assert watching.unwatched() == ()


@pytest.fixture
def hanging(
    supervise: Supervise, claims: Claims, spool: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[WatchSupervisor, HangingQueue]]:
    """A supervisor whose remote scanner hangs since its start, and its queue."""
    monkeypatch.setattr(supervisor, "_START_TIMEOUT", 0.0)
    monkeypatch.setattr(supervisor, "_STOP_TIMEOUT", 0.0)
    monkeypatch.setattr(remote_scanner, "_TIMEOUT", -1.0)
    write_core(remote)
    queue = HangingQueue()
    watching = supervise(spool, poll=(remote,), by=make_finder(claims, queue))
    queue.add(watching.start(quiet=False))
    yield watching, queue
    queue.answers.set()
    queue.close()


def test_local_cores_are_claimed_while_a_remote_file_system_hangs(
    hanging: tuple[WatchSupervisor, HangingQueue], spool: Path
) -> None:
    watching, queue = hanging
    write_core(spool, pid=5000)

    queue.add(watching.process_events())
    queue.add(watching.rescan())

    assert [claim.record.directory for claim in queue.claims] == [str(spool)]


def test_a_remote_file_system_that_hangs_is_reported(
    hanging: tuple[WatchSupervisor, HangingQueue], remote: Path
) -> None:
    watching, queue = hanging
    assert queue.is_asked.wait(TIMEOUT)

    (sentence,) = watching.unwatched()

    assert sentence.startswith(f"not watched: {remote} has not responded since ")
    assert str(remote) not in watching.watched


def test_a_remote_core_is_claimed_when_its_file_system_answers_again(
    hanging: tuple[WatchSupervisor, HangingQueue], remote: Path
) -> None:
    watching, queue = hanging

    queue.answers.set()

    wait_until(watching, queue, lambda: len(queue.claims) == 1)
    assert queue.claims[0].record.directory == str(remote)


def test_claims_that_nobody_has_received_are_suspended_at_the_end(
    supervise: Supervise, claims: Claims, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_core(remote)
    watching = supervise(poll=(remote,))
    monkeypatch.setattr(supervisor, "_STOP_TIMEOUT", TIMEOUT)
    results = watching.start(quiet=False)
    received = next(results)
    assert isinstance(received, CoreClaimed)
    received.claim.close()
    del results
    write_core(remote, "core.2", pid=5000)
    select.select([watching.fileno()], [], [], TIMEOUT)

    watching.close()

    resumed = [claims.resume(crash_id) for crash_id in claims.ids()]
    assert len([claim for claim in resumed if claim]) == len(resumed) >= 1
    for claim in resumed:
        assert claim
        claim.close()
