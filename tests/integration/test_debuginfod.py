"""Debug files from debuginfod: a good one is obtained and used, a hostile server costs nothing but an entry."""

import grp
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd import settings
from astbtd.elf.headers import build_id, file_reader
from astbtd.lib.failure_notes import FailureNotes
from astbtd.model.crash import Section
from astbtd.readiness.gather.debug_files import read_debuginfod
from astbtd.settings import SymbolSettings
from astbtd.symbols.symbol_directories import SymbolDirectories
from astbtd.symbols.symbol_requests import Result, read_answers, write_wanted
from tests.support.commands import build, command_line, section_text
from tests.support.debuginfod import MisbehavingServer, misbehaving_server, real_server
from tests.support.extractions import build_variant
from tests.support.harness import RunningDaemon, crash

WANTED = "ab" * 20
SMALL = 1 << 20


def build_id_of(path: Path) -> str:
    """Return the build id of a program."""
    with path.open("rb") as file:
        found = build_id(file_reader(file.fileno()))
    assert found is not None
    return found


@dataclass(frozen=True)
class Unit:
    """What astbtd-symbols.service runs, as another user, with the configuration of a daemon."""

    running: RunningDaemon
    directories: SymbolDirectories

    def configure(self, servers: list[str], **limits: object) -> None:
        """Configure servers and limits."""
        symbols = {"debuginfod": servers, "directory": str(self.directories.root), **limits}
        spool = str(self.running.configuration.parent / "spool")
        self.running.configure({"watch": {"directories": [spool]}, "symbols": symbols})

    @property
    def settings(self) -> SymbolSettings:
        """The configured settings."""
        return settings.load(self.running.configuration).symbols

    @property
    def notes(self) -> FailureNotes:
        """The notes about what it fails at."""
        return FailureNotes(self._runtime_directory / "symbols.json")

    def prepare(self) -> None:
        """Create the directories, as systemd does."""
        self.directories.root.mkdir(exist_ok=True)
        for directory in (self.directories.downloads, self._runtime_directory):
            directory.mkdir(mode=0o700, exist_ok=True)
            shutil.chown(directory, "nobody")

    def start(self, *wrapper: str) -> "subprocess.Popen[str]":
        """Start it."""
        command = [*wrapper, *command_line(self.running, "symbols")]
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(self._runtime_directory)}
        return subprocess.Popen(
            command, user="nobody", group="nogroup", env=environment, stderr=subprocess.PIPE, text=True
        )

    def run(self, *wrapper: str) -> str:
        """Run it, and return its messages."""
        with self.start(*wrapper) as process:
            return process.communicate()[1]

    @property
    def _runtime_directory(self) -> Path:
        return self.directories.root.with_name("run-symbols")


@pytest.fixture
def unit(running: RunningDaemon, scratch: Path) -> Unit:
    made = Unit(running, SymbolDirectories(scratch / "cache"))
    made.prepare()
    return made


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with misbehaving_server() as server:
        yield server


@pytest.fixture(scope="module")
def stripped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs without debug information, as packages have them."""
    return build_variant(tmp_path_factory.mktemp("stripped"), "stripped")


@pytest.fixture(scope="module")
def debug_files(tmp_path_factory: pytest.TempPathFactory, stripped: Path) -> Path:
    """A directory with the debug files of the stripped program and of the module in which it crashes."""
    unstripped = build(tmp_path_factory.mktemp("unstripped"), "OPTIMIZE=1")
    directory = tmp_path_factory.mktemp("debug")
    for name in ("asterisk", "modules/app_dial.so"):
        target = directory / f"{Path(name).name}.debug"
        subprocess.run(["objcopy", "--only-keep-debug", unstripped / name, target], check=True)
    assert build_id_of(unstripped / "asterisk") == build_id_of(stripped / "asterisk")
    return directory


def found_files(unit: Unit) -> list[str]:
    return os.listdir(unit.directories.found)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>no such page, but with status 200</html>", "not an ELF file: no ELF magic"),
        (Path("/bin/true").read_bytes(), f"its build id is {build_id_of(Path('/bin/true'))}"),
        (Path("/bin/true").read_bytes()[:5000], "not an ELF file: the table of sections is cut short"),
    ],
    ids=["html", "wrong-build-id", "truncated"],
)
def test_a_file_that_was_not_asked_for_is_refused_and_logged(
    unit: Unit, server: MisbehavingServer, content: bytes, reason: str
) -> None:
    unit.configure([server.address])
    write_wanted(unit.directories, [WANTED])
    server.content = content

    messages = unit.run()

    assert f"refused the debug file of build {WANTED}: {reason}" in messages
    assert read_answers(unit.directories)[WANTED].result is Result.REFUSED
    assert found_files(unit) == []


def test_of_ten_gigabytes_only_as_much_as_permitted_is_written(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([server.address], size=SMALL)
    write_wanted(unit.directories, [WANTED])
    server.endless = True

    messages = unit.run()

    assert f"refused the debug file of build {WANTED}: larger than 1.0M (symbols.size)" in messages
    assert sorted(os.listdir(unit.directories.downloads)) == ["answers.json", "found"]


def test_a_server_that_keeps_silent_is_given_up(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([server.address], time="1s")
    write_wanted(unit.directories, [WANTED])
    server.silent = True

    messages = unit.run()

    assert f"could not obtain the debug file of build {WANTED}: no answer within 1 s (symbols.time)" in messages
    assert read_answers(unit.directories)[WANTED].result is Result.FAILED


def test_a_server_that_cannot_be_reached_is_reported_and_asked_again(unit: Unit) -> None:
    unit.configure(["http://127.0.0.1:1"])
    write_wanted(unit.directories, [WANTED])

    first, second = unit.run(), unit.run()

    assert "Connection refused" in first
    assert "Connection refused" not in second, "it was logged before"
    assert "Connection refused" in read_answers(unit.directories)[WANTED].reason


def test_a_server_that_could_not_be_reached_is_asked_again(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure(["http://127.0.0.1:1"])
    write_wanted(unit.directories, [WANTED])
    unit.run()
    unit.configure([server.address])

    unit.run()

    assert read_answers(unit.directories)[WANTED].result is Result.MISSING


def test_a_full_disk_is_logged_once_shown_by_check_and_asks_for_nothing_until_it_is_over(
    unit: Unit, server: MisbehavingServer
) -> None:
    write_wanted(unit.directories, [WANTED])
    unit.configure([server.address], size=1 << 60)
    full = [unit.run() for _ in range(2)]
    noted = read_debuginfod(unit.settings, unit.notes)
    asked_for = list(server.paths)

    unit.configure([server.address])
    after = [unit.run() for _ in range(2)]

    assert "would leave less than" in full[0]
    assert "hint: free some disk space" in full[0]
    assert full[1] == ""
    assert asked_for == []
    assert noted
    assert noted.unit_failure
    assert "would leave less than" in noted.unit_failure
    assert "downloading debug files works again, after " in after[0]
    assert after[1] == ""
    assert read_answers(unit.directories)[WANTED].result is Result.MISSING


@pytest.mark.parametrize("obstacle", ["unreadable directory", "invalid configuration"])
def test_what_keeps_the_unit_from_working_is_logged_once(unit: Unit, server: MisbehavingServer, obstacle: str) -> None:
    write_wanted(unit.directories, [WANTED])
    unit.configure([server.address])
    configuration = unit.running.configuration
    valid = configuration.read_text()
    if obstacle == "unreadable directory":
        unit.directories.downloads.rename(unit.directories.downloads.with_name("away"))
    else:
        configuration.write_text("no_such_setting: 1\n")

    failed = [unit.run() for _ in range(2)]

    assert failed[0].count("astbtd: ") == 1
    assert failed[1] == ""
    configuration.write_text(valid)
    unit.prepare()
    assert "downloading debug files works again, after " in unit.run()
    assert read_answers(unit.directories)[WANTED].result is Result.MISSING


def test_a_miss_is_remembered(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([server.address])
    write_wanted(unit.directories, [WANTED])

    unit.run()
    unit.run()

    assert server.paths == [f"/buildid/{WANTED}/debuginfo"]
    assert read_answers(unit.directories)[WANTED].result is Result.MISSING


def test_only_the_build_id_leaves_the_machine(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([server.address])
    write_wanted(unit.directories, [WANTED])

    unit.run()

    (path,), (headers,) = server.paths, server.headers
    names = {line.partition(":")[0].lower() for line in headers.strip().splitlines()}
    assert path == f"/buildid/{WANTED}/debuginfo"
    assert names <= {"host", "accept", "accept-encoding", "user-agent", "x-debuginfod-maxsize"}
    assert os.uname().nodename not in headers


def test_without_servers_nothing_is_asked_for(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([])
    write_wanted(unit.directories, [WANTED])

    unit.run()

    assert server.paths == []


def test_root_downloads_nothing(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([server.address])
    write_wanted(unit.directories, [WANTED])

    done = subprocess.run(command_line(unit.running, "symbols"), capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "hint: systemctl start astbtd-symbols.service" in done.stderr
    assert server.paths == []


def test_a_download_that_was_killed_leaves_nothing_and_is_repeated(unit: Unit, server: MisbehavingServer) -> None:
    unit.configure([server.address])
    write_wanted(unit.directories, [WANTED])
    server.silent = True
    with unit.start() as process:
        unit.running.manager.receive(0)
        while not server.paths:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    server.silent = False
    server.stop()

    unit.run()

    assert read_answers(unit.directories)[WANTED].result is Result.MISSING
    assert sorted(os.listdir(unit.directories.downloads)) == ["answers.json", "found"]


def test_a_crash_of_a_stripped_program_gets_names_from_a_server(
    unit: Unit, running: RunningDaemon, stripped: Path, debug_files: Path, spool: Path
) -> None:
    program = build_id_of(stripped / "asterisk")
    with real_server(debug_files) as address:
        unit.configure([address])
        running.start()
        crash(stripped, spool, "segv")
        (before,) = running.wait_for_crashes(1)
        running.wait_until(lambda: program in read_text(unit.directories.wanted), "the request")

        unit.run()
        named = "SIGSEGV in do_forward"
        running.wait_until(lambda: named in running.manager.status, "the crash to be extracted again")
        running.stop()

    (after,) = running.crashes()
    assert before.diagnosis.crash_function != "do_forward"
    assert after.diagnosis.crash_function == "do_forward"
    assert after.extraction_history[-1].why == "debug files have appeared"
    assert unit.directories.debug_file(program).exists()
    assert "asterisk.c:" in section_text(running, after, Section.THREAD1)
    assert os.listdir(unit.directories.found) == []


def read_text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_gdb_reads_the_debug_files_and_cannot_write_them(unit: Unit, running: RunningDaemon) -> None:
    unit.configure(["http://127.0.0.1:1"])
    running.start()
    running.wait_until((unit.directories.debug / ".build-id").exists, "the directory")

    status = unit.directories.debug.stat()

    assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o750)
    assert status.st_gid == grp.getgrnam("astbtd-gdb").gr_gid
