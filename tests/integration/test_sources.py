"""Cores that do not simply lie where Asterisk works: packed, kept by others, in places that vanish, moved, twice."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.claims.hard_links import OpenedDirectory, link_descriptor
from astbtd.elf import core_notes
from astbtd.model.crash import CoreState, DiscoveredBy, Source, Verdict
from tests.support.contained import contained_asterisk, dies_in_its_container
from tests.support.core_server import keeping_cores
from tests.support.harness import RunningDaemon, crash, die_of, living_asterisk
from tests.support.kernel import core_pattern, sends_cores_to_sockets
from tests.support.packed import COMPRESS, FIELDS, report

BOOT = "0f" * 16


def listed(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """All below a directory, with what changes when a file is touched in any way."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_uid, status.st_nlink, status.st_ctime_ns)
    return found


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_helper_that_compresses_into_a_configured_directory_is_followed(
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
    """The collections of all collectors, which the daemon is to watch."""
    directories = {name: scratch / name for name in ("systemd_coredump", "apport", "abrt")}
    for directory in directories.values():
        directory.mkdir()
    running.configure({"collectors": {name: [str(path)] for name, path in directories.items()}})
    return directories


def write_as_systemd(core: Path, descriptor: int) -> str:
    """Writes a core as systemd-coredump does, compressed and with attributes; the name that the file is to have."""
    died, pid = int(core.stat().st_mtime), str(pid_of(core))
    with open(descriptor, "wb", closefd=False) as file:
        file.write(COMPRESS["zst"](core.read_bytes()))
    for what, value in {"pid": pid, "uid": "0", "signal": "11", "timestamp": f"{died}000000"}.items():
        os.setxattr(descriptor, f"user.coredump.{what}", value.encode())
    return f"core.asterisk.0.{BOOT}.{pid}.{died}000000.zst"


def keep_as_systemd(core: Path, directory: Path) -> Path:
    """Keeps a core as systemd-coredump does: made without a name, given one when it is complete."""
    descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o640)
    with OpenedDirectory(str(directory)) as opened:
        name = write_as_systemd(core, descriptor)
        link_descriptor(descriptor, opened, name)
    os.close(descriptor)
    return directory / name


def keep_as_systemd_elsewhere(core: Path, directory: Path) -> Path:
    """The same where no file can be without a name: it has another one until it is complete."""
    progress = directory / f".#core.asterisk.0.{BOOT}.1.2.zst0a1b2c3d4e5f6789"
    descriptor = os.open(progress, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    name = write_as_systemd(core, descriptor)
    os.close(descriptor)
    return progress.rename(directory / name)


def keep_as_apport(core: Path, directory: Path) -> Path:
    """Keeps a core as apport does: in a report, closed to all until it is complete."""
    path = directory / "_usr_sbin_asterisk.0.crash"
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(core.stat().st_mtime))
    path.touch(mode=0)
    path.write_bytes(report(core.read_bytes(), {**FIELDS, "Date": date}))
    path.chmod(0o640)
    return path


def keep_as_abrt(core: Path, directory: Path) -> Path:
    """Keeps a core as ABRT does: in a directory that gets its name when it is complete."""
    new = directory / "ccpp-2026-11-22-12:00:00-1.new"
    new.mkdir(mode=0o750)
    (new / "time").write_text(str(int(core.stat().st_mtime)))
    (new / "cmdline").write_text("asterisk segv")
    (new / "coredump").write_bytes(core.read_bytes())
    return new.rename(new.with_suffix("")) / "coredump"


def pid_of(core: Path) -> int:
    """The pid in a core of ours."""
    with core.open("rb") as file:
        return core_notes.read_facts(file.fileno()).process.pid or 0


Keep = Callable[[Path, Path], Path]
KEEPERS: list[tuple[str, Keep, Source]] = [
    ("systemd_coredump", keep_as_systemd, Source.SYSTEMD_COREDUMP),
    ("apport", keep_as_apport, Source.APPORT),
    ("abrt", keep_as_abrt, Source.ABRT),
]


@pytest.mark.parametrize(
    ("name", "keep", "source"),
    [*KEEPERS, ("systemd_coredump", keep_as_systemd_elsewhere, Source.SYSTEMD_COREDUMP)],
)
def test_what_a_collector_keeps_is_collected_and_not_touched(
    running: RunningDaemon,
    programs: Path,
    scratch: Path,
    collections: dict[str, Path],
    name: str,
    keep: Keep,
    source: Source,
) -> None:
    core = crash(programs, scratch, "segv")
    running.start()
    kept = keep(core, collections[name])
    before = listed(collections[name])
    (recorded,) = running.wait_for_crashes(1)
    assert (recorded.core.source, recorded.core.state) == (source, CoreState.KEPT)
    assert (recorded.core.path, recorded.core.found) == (str(kept), DiscoveredBy.EVENT)
    assert recorded.crashed_at.timestamp() == int(core.stat().st_mtime)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert listed(collections[name]) == before


@pytest.mark.parametrize("action", ["leave", "delete"])
def test_whatever_becomes_of_other_cores_a_collectors_is_left(
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


def test_a_crash_that_everybody_has_a_core_of_is_recorded_once_even_after_a_restart(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, collections: dict[str, Path]
) -> None:
    core = crash(programs, scratch, "segv")
    for name, keep, _ in KEEPERS:
        keep(core, collections[name])
    named = {name: [str(path)] for name, path in collections.items()}
    running.configure({"collectors": named, "watch": {"directories": [str(spool)]}})
    core.rename(spool / "core")
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    packed = 2  # the identities of the files that two of them packed the core in
    running.wait_until(lambda: len(running.store.seen()) == 1 + packed, "all to be known")
    running.stop()
    running.start()
    crash(programs, spool, "abort")
    assert {each.id for each in running.wait_for_crashes(2)} >= {recorded.id}
    assert len(running.crashes()) == 2


def test_bombs_and_liars_are_refused_and_everything_else_goes_on(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, collections: dict[str, Path]
) -> None:
    core = crash(programs, scratch, "segv")
    named = {name: [str(path)] for name, path in collections.items()}
    limits = {"size": "100M", "ratio": 2}
    running.configure({"collectors": named, "unpacking": limits, "watch": {"directories": [str(spool)]}})
    liar = keep_as_systemd(core, collections["systemd_coredump"])
    os.setxattr(liar, "user.coredump.signal", b"6")
    for suffix, pack in COMPRESS.items():
        (spool / f"bomb.{suffix}").write_bytes(pack(core.read_bytes() + bytes(200 << 20)))
    bomb = core.with_name("filled")
    bomb.write_bytes(core.read_bytes() + b"A" * (90 << 20))
    (collections["apport"] / "bomb.crash").write_bytes(report(bomb.read_bytes()))
    hostile = {**FIELDS, "ProcCmdline": "asterisk\nSignal: 6\n\x1b[2J"}
    (collections["apport"] / "hostile.crash").write_bytes(report(core.read_bytes(), hostile))
    links = [
        collections["apport"] / "link.crash",
        liar.with_name(liar.name.replace(".zst", "")),
        collections["abrt"] / "x",
    ]
    for link in links:
        link.symlink_to(core if link.parent != collections["abrt"] else scratch)
    (scratch / "coredump").symlink_to(core)

    def everything() -> dict[str, tuple[int, int, int, int]]:
        return {
            f"{place}/{name}": seen for place in (spool, *collections.values()) for name, seen in listed(place).items()
        }

    before, outside = everything(), core.stat()
    running.start()
    crash(programs, spool, "abort")
    (recorded,) = running.wait_for_crashes(1)
    running.wait_until(lambda: running.output().count("is left alone") == len(COMPRESS) + 6, "all to be refused")
    assert recorded.diagnosis.signal == "SIGABRT"
    assert f"{liar} is left alone: it is said to be of signal 6, and is of signal 11" in running.output()
    assert running.output().count("it unpacks to more than 100") == len(COMPRESS)
    assert "bomb.crash is left alone: it unpacks to more than 2 times its size" in running.output()
    assert "hostile.crash is left alone: its field ProcCmdline is no line of text" in running.output()
    assert f"{links[0]} is left alone: it is no regular file" in running.output()
    assert f"{links[1]} is left alone: it is no regular file" in running.output()
    assert f"{links[2]}/coredump is left alone: it cannot be reached: Not a directory" in running.output()
    assert everything() == before
    assert (core.stat().st_ctime_ns, core.stat().st_nlink) == (outside.st_ctime_ns, outside.st_nlink)
    running.wait_until(lambda: not list(running.store.incoming.glob("2*")), "all copies and claims to be gone")


@pytest.fixture
def private() -> Iterator[Path]:
    """A service's private /tmp, as systemd makes it."""
    directory = Path(f"/tmp/systemd-private-{os.urandom(16).hex()}-asterisk.service-a1B2c3")
    (directory / "tmp").mkdir(parents=True)
    yield directory / "tmp"
    shutil.rmtree(directory, ignore_errors=True)


def test_a_core_in_a_private_tmp_that_goes_with_its_process_is_collected(
    running: RunningDaemon, programs: Path, private: Path
) -> None:
    running.configure({})
    with living_asterisk(programs, private, "--megabytes", "100") as asterisk:  # as large as a real one
        running.start()
        die_of(asterisk, signal.SIGSEGV)
        shutil.rmtree(private.parent)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(private / "core")
    assert recorded.core.state is CoreState.KEPT
    assert recorded.process.pid == asterisk.pid


def test_the_private_tmp_of_the_next_start_is_watched_as_soon_as_it_is_made(
    running: RunningDaemon, programs: Path, private: Path
) -> None:
    running.configure({})
    with living_asterisk(programs, private):
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


def test_a_core_in_a_private_tmp_that_was_too_quick_is_recorded_as_lost(
    running: RunningDaemon, programs: Path, private: Path
) -> None:
    running.configure({})
    with living_asterisk(programs, private) as asterisk:
        running.start()
        running.signal(signal.SIGSTOP)
        die_of(asterisk, signal.SIGSEGV)
        shutil.rmtree(private.parent)
        running.signal(signal.SIGCONT)
        (recorded,) = running.wait_for_crashes(1)
    assert (recorded.core.state, recorded.core.path) == (CoreState.LOST, str(private / "core"))
    assert recorded.diagnosis.verdict is Verdict.UNUSABLE
    assert "private /tmp" in recorded.diagnosis.reasons[0]
    assert "PrivateTmp=no" in recorded.diagnosis.advice[0]
    assert f"Asterisk crashed, and its core {private}/core is lost" in running.output()


def paths(running: RunningDaemon) -> list[str]:
    """Where the cores of all crashes are, as recorded."""
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


def test_a_core_that_was_moved_before_it_was_kept_is_removed_where_it_went(
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
    """A file system of its own at `directory`."""
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
        running.wait_until(lambda: paths(running) == [str(drop / "core.pbx-2026")], "its new path")
        assert (drop / "core.pbx-2026").exists()


def test_several_asterisks_are_watched_whatever_they_are_called_and_wherever_they_work(
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
    with living_asterisk(programs, scratch / "one") as first:
        running.start()
        assert "watching 2 places" in running.manager.status
        die_of(first, signal.SIGSEGV)
        die_of(second, signal.SIGBUS)
        crashed = running.wait_for_crashes(2)
    assert {(each.core.path, each.diagnosis.signal, each.process.uid == 0) for each in crashed} == {
        (str(scratch / "one" / "core"), "SIGSEGV", True),
        (str(scratch / "two" / "core"), "SIGBUS", False),
    }


def test_the_core_of_a_container_is_recorded_with_what_it_says_itself(
    running: RunningDaemon, programs: Path, scratch: Path, collections: dict[str, Path]
) -> None:
    core = crash(programs, scratch, "segv")
    kept = keep_as_systemd(core, collections["systemd_coredump"])
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


def test_an_asterisk_in_a_container_is_reported_and_its_core_recorded_with_what_it_says(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    root = scratch / "root"
    root.mkdir()
    with contained_asterisk(programs, root, spool) as container:
        running.start()
        assert "it runs in a container, where it works in /shared: name that directory" in running.manager.status
        dies_in_its_container(container)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core")
    assert recorded.process.executable == "/opt/pbx/asterisk"
    assert (recorded.diagnosis.crash_function, recorded.asterisk.version) == (None, None)


def test_its_core_is_read_with_the_files_of_the_container_even_where_it_does_not_say_that_it_is_from_there(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    root, copy = scratch / "root", scratch / "copy"
    root.mkdir()
    shutil.copytree(programs, copy / "opt" / "pbx")
    settings = {"watch": {"directories": [str(spool)]}, "gdb": {"container_root": str(copy)}}
    running.configure(settings)
    with contained_asterisk(programs, root, spool) as container:
        running.start()
        dies_in_its_container(container)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.asterisk.version == "22.10.0-astbtd"


def test_a_changed_core_pattern_is_followed_at_once(running: RunningDaemon, programs: Path, scratch: Path) -> None:
    dumps = scratch / "dumps"
    dumps.mkdir()
    running.configure({})
    running.start()
    with core_pattern(f"{dumps}/core.%p"):
        running.wait_until(lambda: "watching 1 place" in running.manager.status, "the new place to be watched")
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
        assert recorded.core.found is DiscoveredBy.EVENT
    running.wait_until(lambda: "watching 0 places" in running.manager.status, "the old one to be left")


@pytest.mark.parametrize("prefix", ["@", "@@"])
def test_what_the_kernel_sends_to_a_socket_is_collected_where_its_server_keeps_it(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, prefix: str
) -> None:
    if not sends_cores_to_sockets():
        pytest.skip("the kernel sends no cores to sockets, or is not to be told so from here")
    server = scratch / "server"
    with keeping_cores(server, spool, asked=prefix == "@@"), core_pattern(f"{prefix}{server}"):
        running.start()
        assert "not watched" not in running.manager.status
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core.1")
    assert (recorded.core.truncated, recorded.diagnosis.crash_function) == (False, "do_forward")


def test_directories_that_vary_are_watched_as_they_come(running: RunningDaemon, programs: Path, scratch: Path) -> None:
    dumps = scratch / "dumps"
    (dumps / "asterisk").mkdir(parents=True)
    running.configure({})
    with core_pattern(f"{dumps}/%e/%u/core.%p"):
        running.start()
        (dumps / "asterisk" / "0").mkdir()
        running.wait_until(lambda: "watching 1 place" in running.manager.status, "the directory to be watched")
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert Path(recorded.core.path).parent == dumps / "asterisk" / "0"
    assert recorded.core.found is DiscoveredBy.EVENT


def test_with_core_uses_pid_cores_are_found_by_their_new_names(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    with core_pattern("core", uses_pid=True):
        crash(programs, spool, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert Path(recorded.core.path).name == f"core.{recorded.process.pid}"
