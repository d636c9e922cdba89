"""Cores outside the working directory of Asterisk: compressed, of collectors, moved, of containers, in private /tmp."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, DiscoveredBy, ObjectState, Source, Verdict
from astbtd.sources.collectors.registry import COLLECTORS
from tests.support.collected_cores import KEEP_AS, keep_as_systemd, keep_as_systemd_elsewhere, pid_of
from tests.support.contained import contained_asterisk, crash_in_container
from tests.support.core_server import core_server
from tests.support.harness import RunningDaemon, crash, end_by_signal, running_asterisk
from tests.support.kernel import core_pattern, sends_cores_to_sockets
from tests.support.packed import COMPRESS, FIELDS, report

Keep = Callable[[Path, Path], Path]
FileStates = dict[str, tuple[int, int, int, int]]


def file_states(directory: Path) -> FileStates:
    """Return mode, owner, number of links and time of change of all files below a directory, by relative path."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_uid, status.st_nlink, status.st_ctime_ns)
    return found


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_core_that_a_helper_compresses_into_a_configured_directory_is_collected(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, suffix: str
) -> None:
    core = crash(programs, scratch, "segv")
    running.start()
    (spool / f"asterisk.{suffix}").write_bytes(COMPRESS[suffix](core.read_bytes()))
    (recorded,) = running.wait_for_crashes(1)
    assert (recorded.core.source, recorded.core.state) == (Source.FILE, CoreState.KEPT)
    assert recorded.core.path == str(spool / f"asterisk.{suffix}")
    assert recorded.core.size == core.stat().st_size
    assert recorded.diagnosis.crash_function == "do_forward"
    assert os.listdir(spool) == []


@pytest.fixture
def collections(scratch: Path, running: RunningDaemon) -> dict[str, Path]:
    """A directory for each collector, by its name; the daemon watches all of them."""
    directories = {collector.name: scratch / collector.settings_key for collector in COLLECTORS}
    for directory in directories.values():
        directory.mkdir()
    running.configure({"collectors": {path.name: [str(path)] for path in directories.values()}})
    return directories


@pytest.mark.parametrize(("name", "keep"), [*KEEP_AS.items(), ("systemd-coredump", keep_as_systemd_elsewhere)])
def test_the_core_of_a_collector_is_collected_and_not_changed(
    running: RunningDaemon,
    programs: Path,
    scratch: Path,
    collections: dict[str, Path],
    name: str,
    keep: Callable[[Path, Path], Path],
) -> None:
    core = crash(programs, scratch, "segv")
    running.start()
    kept = keep(core, collections[name])
    before = file_states(collections[name])
    (recorded,) = running.wait_for_crashes(1)
    assert (recorded.core.source, recorded.core.state) == (name, CoreState.KEPT)
    assert (recorded.core.path, recorded.core.found) == (str(kept), DiscoveredBy.EVENT)
    assert recorded.crashed_at.timestamp() == int(core.stat().st_mtime)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert file_states(collections[name]) == before


@pytest.mark.parametrize("action", ["leave", "delete"])
def test_no_action_on_cores_changes_those_of_a_collector(
    running: RunningDaemon, programs: Path, scratch: Path, action: str
) -> None:
    collection = scratch / "systemd"
    collection.mkdir()
    kept = keep_as_systemd(crash(programs, scratch, "segv"), collection)
    running.configure({"collectors": {"systemd_coredump": [str(collection)]}, "cores": {"action": action}})
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.LEFT
    assert kept.exists()
    assert not running.store.kept_core(recorded.id).exists()


def test_a_crash_with_a_core_in_every_place_is_recorded_once_even_after_a_restart(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, collections: dict[str, Path]
) -> None:
    core = crash(programs, scratch, "segv")
    for name, keep in KEEP_AS.items():
        keep(core, collections[name])
    directories = {path.name: [str(path)] for path in collections.values()}
    running.configure({"collectors": directories, "watch": {"directories": [str(spool)]}})
    core.rename(spool / "core")
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    packed = 2  # the identities of the files that two of them packed the core in
    running.wait_until(lambda: len(running.store.collected.all()) == 1 + packed, "all to be known")
    running.stop()
    running.start()
    crash(programs, spool, "abort")
    assert {each.id for each in running.wait_for_crashes(2)} >= {recorded.id}
    assert len(running.crashes()) == 2


def test_archive_bombs_and_inconsistent_cores_are_refused_and_other_cores_collected(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, collections: dict[str, Path]
) -> None:
    core = crash(programs, scratch, "segv")
    directories = {path.name: [str(path)] for path in collections.values()}
    limits = {"size": "100M", "ratio": 2}
    running.configure({"collectors": directories, "unpacking": limits, "watch": {"directories": [str(spool)]}})
    inconsistent = keep_as_systemd(core, collections["systemd-coredump"])
    os.setxattr(inconsistent, "user.coredump.signal", b"6")
    for suffix, pack in COMPRESS.items():
        (spool / f"bomb.{suffix}").write_bytes(pack(core.read_bytes() + bytes(200 << 20)))
    bomb = core.with_name("filled")
    bomb.write_bytes(core.read_bytes() + b"A" * (90 << 20))
    (collections["apport"] / "bomb.crash").write_bytes(report(bomb.read_bytes()))
    hostile = {**FIELDS, "ProcCmdline": "asterisk\nSignal: 6\n\x1b[2J"}
    (collections["apport"] / "hostile.crash").write_bytes(report(core.read_bytes(), hostile))
    links = [
        collections["apport"] / "link.crash",
        inconsistent.with_name(inconsistent.name.replace(".zst", "")),
        collections["abrt"] / "x",
    ]
    for link in links:
        link.symlink_to(core if link.parent != collections["abrt"] else scratch)
    (scratch / "coredump").symlink_to(core)

    def all_states() -> list[FileStates]:
        return [file_states(directory) for directory in (spool, *collections.values())]

    before, linked = all_states(), core.stat()
    running.start()
    crash(programs, spool, "abort")
    (recorded,) = running.wait_for_crashes(1)
    running.wait_until(lambda: running.output().count("is ignored") == len(COMPRESS) + 6, "all to be refused")
    assert recorded.diagnosis.signal == "SIGABRT"
    assert f"{inconsistent} is ignored: its metadata names signal 6, but the core has signal 11" in running.output()
    assert running.output().count("it unpacks to more than 100") == len(COMPRESS)
    assert "bomb.crash is ignored: it unpacks to more than 2 times its size" in running.output()
    assert "hostile.crash is ignored: its field ProcCmdline is not a line of text" in running.output()
    assert f"{links[0]} is ignored: it is not a regular file" in running.output()
    assert f"{links[1]} is ignored: it is not a regular file" in running.output()
    assert f"{links[2]}/coredump is ignored: it cannot be opened: Not a directory" in running.output()
    assert all_states() == before
    assert (core.stat().st_ctime_ns, core.stat().st_nlink) == (linked.st_ctime_ns, linked.st_nlink)
    running.wait_until(lambda: not list(running.store.incoming.glob("2*")), "all copies and claims to be gone")


@pytest.fixture
def private() -> Iterator[Path]:
    """The private /tmp of a service, as systemd creates it."""
    directory = Path(f"/tmp/systemd-private-{os.urandom(16).hex()}-asterisk.service-a1B2c3")
    (directory / "tmp").mkdir(parents=True)
    yield directory / "tmp"
    shutil.rmtree(directory, ignore_errors=True)


def test_a_core_in_a_private_tmp_that_is_removed_with_its_process_is_collected(
    running: RunningDaemon, programs: Path, private: Path
) -> None:
    running.configure({})
    with running_asterisk(programs, private, "--megabytes", "100") as asterisk:  # about the size of a real core
        running.start()
        end_by_signal(asterisk, signal.SIGSEGV)
        shutil.rmtree(private.parent)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(private / "core")
    assert recorded.core.state is CoreState.KEPT
    assert recorded.process.pid == asterisk.pid


def test_the_private_tmp_of_the_next_start_is_watched_once_it_is_created(
    running: RunningDaemon, programs: Path, private: Path
) -> None:
    running.configure({})
    with running_asterisk(programs, private):
        running.start()
    shutil.rmtree(private.parent)
    again = private.parent.with_name(private.parent.name[:-6] + "x9Y8z7") / "tmp"
    again.mkdir(parents=True)
    try:
        core = crash(programs, again, "segv")
        (recorded,) = running.wait_for_crashes(1)
    finally:
        shutil.rmtree(again.parent)
    assert recorded.core.path == str(core)


def test_a_core_that_vanished_with_its_private_tmp_is_recorded_as_lost(
    running: RunningDaemon, programs: Path, private: Path
) -> None:
    running.configure({})
    with running_asterisk(programs, private) as asterisk:
        running.start()
        running.suspend()
        end_by_signal(asterisk, signal.SIGSEGV)
        shutil.rmtree(private.parent)
        running.resume()
        (recorded,) = running.wait_for_crashes(1)
    assert (recorded.core.state, recorded.core.path) == (CoreState.LOST, str(private / "core"))
    assert recorded.diagnosis.verdict is Verdict.UNUSABLE
    assert "private /tmp" in recorded.diagnosis.reasons[0]
    assert "PrivateTmp=no" in recorded.diagnosis.advice[0]
    assert f"Asterisk crashed, but its core {private}/core is lost" in running.output()


def core_paths(running: RunningDaemon) -> list[str]:
    """Return the recorded paths of all cores."""
    return [each.core.path for each in running.crashes()]


def test_a_core_that_safe_asterisk_moves_is_one_crash_with_its_new_path(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    drop = scratch / "drop"
    drop.mkdir()
    running.configure({"watch": {"directories": [str(spool), str(drop)]}, "cores": {"action": "leave"}})
    running.start()
    crash(programs, spool, "segv")
    subprocess.run(["mv", spool / "core", drop / "core.pbx-2026"], check=True)
    running.wait_until(
        lambda: [each.core.path for each in running.crashes()] == [str(drop / "core.pbx-2026")], "its path"
    )
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.LEFT


def test_a_core_that_was_moved_before_it_was_kept_is_removed_from_its_new_place(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    drop = scratch / "drop"
    drop.mkdir()
    running.configure({"watch": {"directories": [str(spool), str(drop)]}})
    running.start()
    crash(programs, spool, "segv")
    subprocess.run(["mv", spool / "core", drop / "core.pbx-2026"], check=False)
    (recorded,) = running.wait_for_crashes(1)
    running.wait_until(lambda: os.listdir(drop) == [], "the moved core to be removed")
    assert recorded.core.state is CoreState.KEPT


@contextmanager
def another_file_system(directory: Path) -> Iterator[None]:
    """Mount another file system at `directory` for the duration of a block."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_core_that_is_moved_to_another_file_system_is_one_crash_with_its_new_path(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    drop = scratch / "drop"
    drop.mkdir()
    running.configure({"watch": {"directories": [str(spool), str(drop)]}, "cores": {"action": "leave"}})
    with another_file_system(drop):
        running.start()
        crash(programs, spool, "segv")
        running.wait_for_crashes(1)
        subprocess.run(["mv", spool / "core", drop / "core.pbx-2026"], check=True)
        running.wait_until(lambda: core_paths(running) == [str(drop / "core.pbx-2026")], "its new path")
        assert (drop / "core.pbx-2026").exists()


def test_several_asterisks_with_different_names_and_directories_are_watched(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    shutil.copy(programs / "asterisk", programs / "pbx-two")
    running.configure({"asterisk": {"executables": ["asterisk", "pbx-two"]}})
    (scratch / "one").mkdir()
    (scratch / "two").mkdir()
    shutil.chown(scratch / "two", "nobody")
    second = subprocess.Popen(
        ["setpriv", "--reuid=nobody", programs / "pbx-two", "wait"], cwd=scratch / "two", stdout=subprocess.PIPE
    )
    assert second.stdout is not None
    second.stdout.readline()
    with running_asterisk(programs, scratch / "one") as first:
        running.start()
        assert "watching 2 directories" in running.manager.status
        end_by_signal(first, signal.SIGSEGV)
        end_by_signal(second, signal.SIGBUS)
        crashed = running.wait_for_crashes(2)
    assert {(each.core.path, each.diagnosis.signal, each.process.uid == 0) for each in crashed} == {
        (str(scratch / "one" / "core"), "SIGSEGV", True),
        (str(scratch / "two" / "core"), "SIGBUS", False),
    }


def test_the_core_of_a_container_is_recorded_with_the_facts_in_the_core(
    running: RunningDaemon, programs: Path, scratch: Path, collections: dict[str, Path]
) -> None:
    core = crash(programs, scratch, "segv")
    kept = keep_as_systemd(core, collections["systemd-coredump"])
    pid = str(pid_of(core))
    os.setxattr(kept, "user.coredump.pid", b"31337")
    kept.rename(kept.with_name(kept.name.replace(f".{pid}.", ".31337.")))
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.process.container
    assert recorded.process.executable == str(programs / "asterisk")
    assert recorded.diagnosis.crash_function is None
    assert recorded.asterisk.version is None
    assert any("container_root" in line for line in recorded.diagnosis.advice)


def test_the_core_of_a_container_is_read_with_the_files_of_the_container(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    collection, root = scratch / "systemd", scratch / "root"
    collection.mkdir()
    core = crash(programs, scratch, "segv")
    shutil.copytree(programs, root / str(programs).lstrip("/"))
    kept = keep_as_systemd(core, collection)
    os.setxattr(kept, "user.coredump.pid", b"31337")
    kept.rename(kept.with_name(kept.name.replace(f".{pid_of(core)}.", ".31337.")))
    running.configure({"collectors": {"systemd_coredump": [str(collection)]}, "gdb": {"container_root": str(root)}})
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert recorded.asterisk.version == "22.10.0-astbtd"


def test_an_asterisk_in_a_container_is_reported_and_its_core_read_with_the_program_that_was_kept_while_it_ran(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    root = scratch / "root"
    root.mkdir()
    with contained_asterisk(programs, root, spool) as container:
        running.start()
        assert "it runs in a container, its working directory is /shared: add that directory" in running.manager.status
        running.wait_for_objects()
        crash_in_container(container)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core")
    assert recorded.process.executable == "/opt/pbx/asterisk"
    states = {each.path: each.state for each in recorded.objects or ()}
    assert states["/opt/pbx/asterisk"] is ObjectState.KEPT
    assert (recorded.diagnosis.crash_function, recorded.asterisk.version) == ("monitor_sig_flags", "22.10.0-astbtd")


def test_a_core_that_does_not_name_its_container_is_read_with_the_files_of_the_container(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    root, copy = scratch / "root", scratch / "copy"
    root.mkdir()
    shutil.copytree(programs, copy / "opt" / "pbx")
    settings = {"watch": {"directories": [str(spool)]}, "gdb": {"container_root": str(copy)}}
    running.configure(settings)
    with contained_asterisk(programs, root, spool) as container:
        running.start()
        crash_in_container(container)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.asterisk.version == "22.10.0-astbtd"


@pytest.mark.serial
def test_a_changed_core_pattern_is_followed_at_once(running: RunningDaemon, programs: Path, scratch: Path) -> None:
    dumps = scratch / "dumps"
    dumps.mkdir()
    running.configure({})
    running.start()
    with core_pattern(f"{dumps}/core.%p"):
        running.wait_until(lambda: "watching 1 directory" in running.manager.status, "the new place to be watched")
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
        assert recorded.core.found is DiscoveredBy.EVENT
    running.wait_until(lambda: "watching 0 directories" in running.manager.status, "the old one to be left")


@pytest.mark.serial
@pytest.mark.parametrize("prefix", ["@", "@@"])
def test_a_core_that_the_kernel_sends_to_a_socket_is_collected_from_the_directory_of_its_server(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, prefix: str
) -> None:
    if not sends_cores_to_sockets():
        pytest.skip("the kernel sends no cores to sockets, or not in this mount namespace")
    server = scratch / "server"
    with core_server(server, spool, negotiate=prefix == "@@"), core_pattern(f"{prefix}{server}"):
        running.start()
        assert "not watched" not in running.manager.status
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core.1")
    assert (recorded.core.truncated, recorded.diagnosis.crash_function) == (False, "do_forward")


@pytest.mark.serial
def test_directories_that_match_core_pattern_are_watched_once_they_are_created(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    dumps = scratch / "dumps"
    (dumps / "asterisk").mkdir(parents=True)
    running.configure({})
    with core_pattern(f"{dumps}/%e/%u/core.%p"):
        running.start()
        (dumps / "asterisk" / "0").mkdir()
        running.wait_until(lambda: "watching 1 directory" in running.manager.status, "the directory to be watched")
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert Path(recorded.core.path).parent == dumps / "asterisk" / "0"
    assert recorded.core.found is DiscoveredBy.EVENT


@pytest.mark.serial
def test_with_core_uses_pid_cores_are_found_by_their_new_names(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    with core_pattern("core", uses_pid=True):
        crash(programs, spool, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert Path(recorded.core.path).name == f"core.{recorded.process.pid}"
