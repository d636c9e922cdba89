"""Another user runs and crashes programs called asterisk: the PBX's crashes lose nothing by it (20, 22)."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.model.crash import REPORT_FILE, CoreState, Crash
from astbtd.store.foreign_crashes import MAX_CRASHES
from tests.support.attackers import ASTERISK, OTHER_USER, file_state
from tests.support.builders import DeadProcess
from tests.support.harness import RunningDaemon, crash, daemon, running_asterisk

IN_2096 = 4_000_000_000
FAKES = 1300


@pytest.fixture
def shared(scratch: Path) -> Path:
    """A directory in which every user can leave cores, such as /tmp."""
    directory = scratch / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


@pytest.fixture
def guarded(scratch: Path, shared: Path) -> Iterator[RunningDaemon]:
    """A daemon that watches the shared directory, for which five crashes are a loop. It is not started yet."""
    settings = {"watch": {"directories": [str(shared)]}, "crash_loop": {"crashes": 5, "within": "10min"}}
    with daemon(scratch, settings) as configured:
        yield configured


def crash_as(user: str, programs: Path, directory: Path, name: str) -> Path:
    """Crash the program in a directory. Return its core, which is renamed so that the next one does not replace it."""
    return crash(programs, directory, "segv", user=user).rename(directory / name)


def write_fake(path: Path, pid: int) -> None:
    """Write the core of a program of the other user, dated in the future, with its final owner."""
    made = path.parent.parent / f"made-{path.name}"
    uid = pwd.getpwnam(OTHER_USER).pw_uid
    made.write_bytes(DeadProcess(pid=pid, uid=uid, random=pid.to_bytes(16, "big")).core() + os.urandom(4096))
    shutil.chown(made, OTHER_USER)
    os.utime(made, (IN_2096, IN_2096))
    made.rename(path)


def of_pbx(crashes: list[Crash]) -> Crash:
    """Return the only crash that is the PBX's."""
    (found,) = [each for each in crashes if not each.foreign]
    return found


def astbtd(daemon: RunningDaemon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "astbtd", *arguments, "--config", str(daemon.configuration)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_crashes_of_another_user_make_no_loop_for_the_pbx(guarded: RunningDaemon, programs: Path, shared: Path) -> None:
    guarded.start()
    for number in range(6):
        crash_as(OTHER_USER, programs, shared, f"core.fake{number}")
        guarded.wait_for_crashes(number + 1)
    crash_as(ASTERISK, programs, shared, "core.pbx")
    found = of_pbx(guarded.wait_for_crashes(7))

    assert found.core.state is CoreState.KEPT
    assert not found.extraction.brief
    assert found.signature
    assert found.signature.occurrence == 1
    assert os.readlink(guarded.store.root / "latest") == f"crashes/{found.id}"
    assert guarded.output().count("Asterisk crashed:") == 1
    assert guarded.output().count("a foreign program crashed, not the PBX") == 6
    assert "crash loop" not in guarded.output()


def test_foreign_crashes_are_marked_and_are_not_the_latest(
    guarded: RunningDaemon, programs: Path, shared: Path
) -> None:
    guarded.start()
    crash_as(ASTERISK, programs, shared, "core.pbx")
    guarded.wait_for_crashes(1)
    crash_as(OTHER_USER, programs, shared, "core.fake")
    crashes = guarded.wait_for_crashes(2)
    foreign = next(each for each in crashes if each.foreign)
    pbx = of_pbx(crashes)

    table = astbtd(guarded, "list").stdout.splitlines()
    listed = json.loads(astbtd(guarded, "list", "--foreign", "--json").stdout)

    assert [line for line in table if "foreign" in line] == [line for line in table if foreign.id in line]
    assert [(each["id"], each["foreign"]) for each in listed] == [(foreign.id, True)]
    assert json.loads(astbtd(guarded, "show", "--json").stdout)["id"] == pbx.id
    assert json.loads(astbtd(guarded, "show", "-1", "--json").stdout)["id"] == pbx.id
    shown = astbtd(guarded, "show", foreign.id).stdout
    assert shown.startswith("Foreign:   this is not a crash of the PBX")
    assert shown == (guarded.store.directory(foreign.id) / REPORT_FILE).read_text()
    assert pbx.what.split()[0] in guarded.manager.status


def test_fakes_do_not_push_the_core_of_the_pbx_out_of_the_store(
    guarded: RunningDaemon, programs: Path, shared: Path
) -> None:
    guarded.start()
    crash_as(ASTERISK, programs, shared, "core.pbx")
    (pbx,) = guarded.wait_for_crashes(1)
    size = guarded.store.kept_core(pbx.id).stat().st_size
    limits = {"retention": {"cores": {"size": f"{size + 1024}B"}}}
    guarded.configure({"watch": {"directories": [str(shared)]}, **limits})
    guarded.reload()
    for number in range(6):
        write_fake(shared / f"core.fake{number}", 1000 + number)
    guarded.wait_for_crashes(7)
    guarded.stop()
    astbtd(guarded, "prune")

    assert of_pbx(guarded.crashes()).core.state is CoreState.KEPT
    assert guarded.store.kept_core(pbx.id).stat().st_size == size


def test_many_fakes_from_the_future_do_not_delay_the_core_of_the_pbx(
    guarded: RunningDaemon, programs: Path, shared: Path
) -> None:
    crash_as(ASTERISK, programs, shared, "core.pbx")
    for number in range(FAKES):
        write_fake(shared / f"core.fake{number}", 1000 + number)
    guarded.start()
    guarded.wait_until(lambda: bool(guarded.crashes()), "the first crash")
    first = guarded.crashes()[-1]
    guarded.wait_until(lambda: len(guarded.crashes()) > 5, "more crashes")
    crashes = guarded.crashes()

    assert not first.foreign
    assert os.readlink(guarded.store.root / "latest") == f"crashes/{of_pbx(crashes).id}"
    assert "2096" not in guarded.manager.status
    assert all(each.crashed_at.year < 2096 for each in crashes)
    assert len(crashes) <= MAX_CRASHES + 2


def test_an_archive_is_not_taken_because_another_user_works_there(scratch: Path, programs: Path) -> None:
    archive = scratch / "archive"
    archive.mkdir()
    cores = [crash(programs, archive, "segv").rename(archive / f"core.{number}") for number in range(6)]
    before = [file_state(core) for core in cores]
    with daemon(scratch, {}) as running, running_asterisk(programs, archive, user=OTHER_USER):
        running.start()

        assert str(archive) not in running.manager.status
        assert running.crashes() == []
        assert [file_state(core) for core in cores] == before
        assert "foreign" in astbtd(running, "check").stdout


def test_of_an_archive_where_the_pbx_works_only_the_newest_core_is_collected(scratch: Path, programs: Path) -> None:
    archive = scratch / "archive"
    archive.mkdir()
    shutil.chown(archive, ASTERISK)
    cores = []
    for number in range(4):
        cores.append(crash_as(ASTERISK, programs, archive, f"core.{number}"))
        os.utime(cores[-1], (1_700_000_000 + number, 1_700_000_000 + number))
    with daemon(scratch, {}) as running:
        with running_asterisk(programs, archive, user=ASTERISK):
            running.start()
            (collected,) = running.wait_for_crashes(1)
        running.stop()
        running.start()  # without the process, and not for the first time
        running.wait_until_quiet()

        assert collected.core.path == str(cores[-1])
        assert [each.id for each in running.crashes()] == [collected.id]
        assert all(core.exists() for core in cores)
        assert running.output().count("3 cores were in") == 1
        assert json.loads(astbtd(running, "extract", "--newest", "--json", str(archive)).stdout)["core"]["path"] == str(
            cores[-2]
        )


def test_a_named_core_of_an_unknown_user_is_explained_and_becomes_the_pbxs_when_the_user_is_configured(
    scratch: Path, programs: Path
) -> None:
    spool = scratch / "spool"
    spool.mkdir()
    shutil.chown(spool, OTHER_USER)
    core = str(crash_as(OTHER_USER, programs, spool, "core.1"))
    with daemon(scratch, {}) as configured:
        unknown = astbtd(configured, "extract", core)
        configured.configure({"asterisk": {"users": [OTHER_USER]}})
        known = astbtd(configured, "extract", "--json", core)
        listed = json.loads(astbtd(configured, "list", "--json").stdout)

    assert "counts as the core of a foreign program" in unknown.stderr
    assert "hint: if it is your PBX, add its user to asterisk.users" in unknown.stderr
    assert ": foreign, not the PBX: SIGSEGV" in unknown.stdout
    assert (known.stderr, json.loads(known.stdout)["foreign"]) == ("", False)
    assert [(each["foreign"], each["signature"]["occurrence"]) for each in listed] == [(False, 1)]


def test_a_forged_core_of_another_user_is_not_taken_for_the_newest_of_the_pbx(
    guarded: RunningDaemon, programs: Path, shared: Path
) -> None:
    core = crash_as(ASTERISK, programs, shared, "core.pbx")
    uid = pwd.getpwnam(ASTERISK).pw_uid
    forged = shared / "core.forged"
    forged.write_bytes(DeadProcess(uid=uid).core())
    shutil.chown(forged, OTHER_USER)

    found = [json.loads(astbtd(guarded, "extract", "--newest", "--json", str(shared)).stdout) for _ in range(2)]

    assert [(each["core"]["path"], each["foreign"]) for each in found] == [(str(core), False), (str(forged), True)]


def test_a_set_user_id_program_called_asterisk_is_not_captured(scratch: Path, programs: Path) -> None:
    copies = Path(shutil.copytree(programs, scratch / "bin"))
    (copies / "asterisk").chmod(0o4755)
    with daemon(scratch, {}) as configured, running_asterisk(copies, scratch, user=OTHER_USER) as process:
        found = astbtd(configured, "deadlock")
        named = astbtd(configured, "deadlock", "--pid", str(process.pid))

    assert (found.returncode, found.stderr.splitlines()[0]) == (3, "astbtd: no Asterisk is running")
    assert named.returncode == 1
    assert "it is not the PBX" in named.stderr
