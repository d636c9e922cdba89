"""Killed at any change of a file, or in the midst of it: nothing is lost, twice, or half done for anyone to see."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from astbtd.claims.claim_file import ClaimFiles, ClaimRecord
from astbtd.claims.core_filter import Candidate, examine
from astbtd.model.crash import REPORT_FILE, CoreState, Crash, DiscoveredBy
from astbtd.store.captures import Captures
from astbtd.store.core_archive import write_out
from astbtd.store.integrity import StoreCheck
from astbtd.store.store import Store
from tests.integration.test_retention import astbtd
from tests.integration.test_sources import keep_as_systemd
from tests.support import builders
from tests.support.faults import STAGING, Fault, Faults, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, living_asterisk, scratch_directory
from tests.support.packed import COMPRESS

_STAYING = {"lock", "changes", "directories"}


@dataclass(frozen=True)
class Scene:
    """A daemon that is killed again and again, and the directory where it finds cores; `crashes` are to come of it."""

    running: RunningDaemon
    spool: Path
    faults: Faults
    crashes: int

    @property
    def store(self) -> Store:
        return self.running.store

    def is_at_rest(self) -> bool:
        """Whether all is done that there is to do."""
        done = len(self.store.ids()) == self.crashes and not self.store.is_new
        return done and set(os.listdir(self.store.incoming)) <= _STAYING

    def struck(self, fault: Fault) -> bool:
        """Lets the daemon work until it is killed by this fault; False if it came to the end of its work."""
        self.running.environment = self.faults.environment(fault)
        self.running.launch()
        while self.running.process.poll() is None and not self.is_at_rest():
            self.running.manager.receive(0.1)
        if self.running.process.poll() is None:
            self.running.signal(signal.SIGTERM)
        return self.running.process.wait() == -signal.SIGKILL

    def finish(self) -> list[Crash]:
        """Lets an undisturbed daemon do the rest, and returns what is recorded then, the newest first."""
        self.running.environment = {}
        self.running.start()
        self.running.wait_until(self.is_at_rest, "all to be done")
        self.running.stop()
        return self.running.crashes()


@dataclass(frozen=True)
class CrashContext:
    """What a daemon finds, made of a core by `prepare`, and how the record says what became of it; if it `stays`, it is
    there in the end.
    """

    prepare: Callable[[Scene, Path], object]
    state: CoreState
    stays: bool = False
    settings: dict[str, object] = field(default_factory=dict)
    crashes: int = 1
    without: str = STAGING
    every: int = 5


def lay_down(scene: Scene, core: Path) -> Path:
    """A core where Asterisk left it."""
    return Path(shutil.copy2(core, scene.spool / "core"))


def settle(scene: Scene, core: Path) -> None:
    """A core in a store that is not new."""
    scene.store.prepare()
    scene.store.no_longer_new()
    lay_down(scene, core)


def pack(scene: Scene, core: Path) -> None:
    """A core that somebody compressed."""
    scene.store.prepare()
    scene.store.no_longer_new()
    (scene.spool / "asterisk.zst").write_bytes(COMPRESS["zst"](core.read_bytes()))


def collect(scene: Scene, core: Path) -> None:
    """A core in the collection of systemd-coredump."""
    scene.store.prepare()
    scene.store.no_longer_new()
    keep_as_systemd(core, scene.spool)
    scene.running.configure({"collectors": {"systemd_coredump": [str(scene.spool)], "apport": [], "abrt": []}})


def lose(scene: Scene, core: Path) -> None:
    """The claim of a core that was to be copied, and is gone before it was."""
    settle(scene, core)
    candidate = examine(str(scene.spool), "core", ("asterisk",))
    assert isinstance(candidate, Candidate)
    note = ClaimRecord(candidate.facts, str(scene.spool), "core", DiscoveredBy.EVENT, core.stat().st_ino, copied=True)
    os.close(ClaimFiles(scene.store.incoming).write(candidate.facts.crash_id, note))
    os.close(candidate.descriptor)
    (scene.spool / "core").unlink()


def precede(scene: Scene, core: Path) -> None:
    """A core of an earlier crash than one of the same bug that is recorded already."""
    recorded = core.with_name("recorded")
    if not recorded.exists():
        settle(scene, core)
        scene.running.start()
        scene.running.wait_for_crashes(1)
        scene.running.stop()
        scene.store.root.rename(recorded)
    shutil.copytree(recorded, scene.store.root, symlinks=True)
    for path in (recorded, *recorded.rglob("*")):
        owner = path.lstat()
        os.chown(scene.store.root / path.relative_to(recorded), owner.st_uid, owner.st_gid, follow_symlinks=False)
    shutil.copy2(core.with_name("earlier"), scene.spool / "core")


CASES = {
    "moved": CrashContext(lay_down, CoreState.KEPT, without="", every=1),
    "left": CrashContext(settle, CoreState.LEFT, stays=True, settings={"cores": {"action": "leave"}}),
    "deleted": CrashContext(settle, CoreState.REMOVED, settings={"cores": {"action": "delete"}}),
    "packed": CrashContext(pack, CoreState.KEPT),
    "collected": CrashContext(collect, CoreState.KEPT, stays=True),
    "lost": CrashContext(lose, CoreState.LOST),
    "preceding": CrashContext(precede, CoreState.KEPT, crashes=2),
}


@contextmanager
def scene(case: CrashContext, programs: Path, core: Path) -> Iterator[Scene]:
    with scratch_directory() as directory:
        spool = directory / "spool"
        spool.mkdir()
        with daemon(directory, {"watch": {"directories": [str(spool)]}, **case.settings}) as running:
            faults = Faults(programs, [running.store.root, spool], directory / "calls", case.without)
            made = Scene(running, spool, faults, case.crashes)
            case.prepare(made, core)
            yield made


@pytest.fixture
def core(programs: Path, scratch: Path) -> Path:
    """The core of a crash, beside it that of an earlier one of the same bug."""
    earlier = crash(programs, scratch, "segv").rename(scratch / "earlier")
    os.utime(earlier, (1_700_000_000, 1_700_000_000))
    return crash(programs, scratch, "segv")


def check_that_what_is_seen_is_whole(store: Store) -> None:
    """Whoever looks now, before any daemon has come back, sees records with all that they tell of."""
    for recorded in map(store.load, store.ids()):
        names = set(os.listdir(store.directory(recorded.id)))
        assert {REPORT_FILE, *recorded.extraction.sections} <= names
        assert recorded.core.state is not CoreState.KEPT or "core.zst" in names


def check_that_nothing_is_wrong(store: Store) -> None:
    examination = StoreCheck(store, set, cores=True, progress=lambda _: None, write_report=lambda *_: None)
    assert [(finding.path, finding.problem) for finding in examination.findings()] == []


def kept_content(store: Store, recorded: Crash) -> bytes:
    target = os.memfd_create("core")
    try:
        write_out(store.kept_core(recorded.id), target, lambda _: None)
        return os.pread(target, os.fstat(target).st_size, 0)
    finally:
        os.close(target)


@pytest.mark.parametrize("name", CASES)
def test_a_daemon_killed_at_any_change_goes_on_as_if_nothing_had_been(programs: Path, core: Path, name: str) -> None:
    case = CASES[name]
    with scene(case, programs, core) as undisturbed:
        whole = [recorded.extraction.sections.keys() for recorded in undisturbed.finish()]

    def goes_on(number: int, *, torn: bool = True) -> bool:
        fault = Fault(number, torn=torn)
        with scene(case, programs, core) as one:
            found = os.listdir(one.spool)
            struck = one.struck(fault)
            check_that_what_is_seen_is_whole(one.store)
            recorded = one.finish()
            assert [each.core.state for each in recorded] == [case.state] * case.crashes, fault
            assert [each.extraction.sections.keys() for each in recorded] == whole, fault
            assert [each.signature.occurrence for each in recorded] == list(range(case.crashes, 0, -1)), fault
            assert case.state is not CoreState.KEPT or kept_content(one.store, recorded[0]) == core.read_bytes(), fault
            assert os.listdir(one.spool) == (found if case.stays else []), fault
            check_that_nothing_is_wrong(one.store)
            said = one.running.output()
            assert any(str(one.store.directory(each.id)) in said for each in recorded) or "had been waiting" in said
            was_write = one.faults.calls()[-1].startswith("write ")
        return struck and (not torn or not was_write or goes_on(number, torn=False))

    assert at_every_change(goes_on, case.every) > 30 // case.every


def test_a_pin_is_there_or_not_wherever_its_command_is_killed(running: RunningDaemon, programs: Path) -> None:
    store, faults = running.store, Faults(programs, [running.store.root], running.log.with_name("calls"))
    store.prepare()
    pinned = builders.crash()
    store.commit(store.stage(pinned.id), pinned)

    for number in itertools.count(1):
        killing = faults.environment(Fault(number, torn=True))
        ended = astbtd(running, "pin", pinned.id, environment=killing).returncode
        assert store.load(pinned.id).pinned in (True, False)
        assert astbtd(running, "pin", pinned.id).returncode == 0
        assert os.listdir(store.directory(pinned.id)) == ["crash.json"]
        assert astbtd(running, "unpin", pinned.id).returncode == 0
        if ended != -signal.SIGKILL:
            break
    assert number > 5


def test_a_core_that_is_extracted_by_hand_is_recorded_once_wherever_the_command_is_killed_and_run_again(
    programs: Path, scratch: Path
) -> None:
    core = scratch / "core"
    core.write_bytes(builders.DeadProcess().core())

    def goes_on(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {}) as one:
            faults = Faults(programs, [one.store.root], directory / "calls", STAGING)
            killing = faults.environment(Fault(number, torn=True))
            struck = astbtd(one, "extract", str(core), environment=killing).returncode == -signal.SIGKILL
            if one.store.root.exists():
                check_that_what_is_seen_is_whole(one.store)
            again = astbtd(one, "extract", str(core))
            assert again.returncode == 0, again.stderr
            assert [each.core.state for each in one.crashes()] == [CoreState.LEFT]
            assert set(os.listdir(one.store.incoming)) - {"new"} <= _STAYING
            check_that_nothing_is_wrong(one.store)
            return struck

    assert at_every_change(goes_on, step=3) > 5
    assert core.read_bytes() == builders.DeadProcess().core()


def test_a_capture_is_there_or_not_wherever_its_command_is_killed_and_asterisk_goes_on(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.store.prepare()
    captures = Captures(running.store.root)
    faults = Faults(programs, [running.store.root], running.log.with_name("calls"), "*/capturing/*/*")
    with living_asterisk(programs, spool) as asterisk:
        capture = ("deadlock", "--samples", "1", "--pid", str(asterisk.pid))
        for number in itertools.count(1):
            killing = faults.environment(Fault(number, torn=True))
            done = astbtd(running, *capture, environment=killing)
            for capture_id in captures.ids():
                captures.load(capture_id)
            assert state_of(asterisk.pid) != "T"
            if done.returncode != -signal.SIGKILL:
                break

    assert done.returncode == 0, done.stderr
    assert number > 10
    assert os.listdir(running.store.root / "capturing") == []


def state_of(pid: int) -> str:
    """Whether a process runs, sleeps, is stopped, ..., as proc(5) abbreviates it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
