"""The daemon is killed, or its disk is full, while it takes over a downloaded debug file: nothing partial is used."""

import errno
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.symbols.symbol_directories import SymbolDirectories
from tests.support.debug_files import debug_file, split_debug_files
from tests.support.faults import Fault, FaultInjector, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory

EARLIER = "ab" * 20
"""A build whose debug file was obtained before."""


@pytest.fixture
def stripped(programs: Path, scratch: Path) -> Path:
    """An installation without debug information, which is beside it in the directory `debug`."""
    installed = Path(shutil.copytree(programs, scratch / "installed"))
    split_debug_files(installed, scratch / "debug")
    return installed


def configure(running: RunningDaemon, directories: SymbolDirectories, spool: Path) -> None:
    """Let the daemon ask for debug files; the tests answer in the place of the unit."""
    running.configure(
        {
            "watch": {"directories": [str(spool)], "rescan": "1s"},
            "retention": {"minimum_free": "0%"},
            "symbols": {"debuginfod": ["http://127.0.0.1:1"], "directory": str(directories.root)},
            "extract": {"again_per_hour": 0},
        }
    )


@dataclass(frozen=True)
class Download:
    """A debug file that the unit has downloaded, and its content."""

    build_id: str
    content: bytes

    def is_taken_over(self, directories: SymbolDirectories) -> bool:
        """Return whether it is where gdb reads it, and nowhere else."""
        return directories.has_debug_file(self.build_id) and not any(directories.found.iterdir())

    def check(self, directories: SymbolDirectories) -> None:
        """Check that nothing is lost, and that what gdb reads is whole."""
        kept = directories.debug_file(self.build_id)
        downloaded = directories.found / self.build_id
        assert kept.exists() or downloaded.exists()
        assert not kept.exists() or kept.read_bytes() == self.content
        assert not downloaded.exists() or downloaded.read_bytes() == self.content
        assert directories.debug_file(EARLIER).read_bytes() == b"an earlier one"


def download(running: RunningDaemon, stripped: Path, directories: SymbolDirectories) -> Download:
    """Answer the request of a daemon for the debug file of the program, after it has stopped."""
    installed = debug_file(stripped / "asterisk")
    build_id = f"{installed.parent.name}{installed.stem}"
    wanted = directories.wanted
    running.wait_until(lambda: wanted.exists() and build_id in wanted.read_text(), "the request")
    running.stop()
    source = stripped.parent / "debug" / f"{build_id}.debug"
    directories.found.mkdir(parents=True)
    shutil.copy(source, directories.found / build_id)
    earlier = directories.debug_file(EARLIER)
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"an earlier one")
    return Download(build_id, source.read_bytes())


@dataclass(frozen=True)
class Scenario:
    """A daemon with one fault, on a copy of a store and of the directories of debug files."""

    running: RunningDaemon
    directories: SymbolDirectories
    faults: FaultInjector
    download: Download

    def has_failed(self, fault: Fault) -> bool:
        return len(self.faults.calls()) >= fault.at

    def is_done(self) -> bool:
        """Start the daemon again without a fault if it has ended; return whether the file is taken over."""
        if self.running.process.poll() is not None:
            self.running.environment = {}
            self.running.launch()
        return self.download.is_taken_over(self.directories)

    def run(self, fault: Fault) -> bool:
        """Run the daemon until the fault has happened, or the file is taken over. Return whether it has happened."""
        self.running.environment = self.faults.environment(fault)
        self.running.launch()
        process, taken_over = self.running.process, self.download.is_taken_over
        while process.poll() is None and not taken_over(self.directories) and not self.has_failed(fault):
            self.running.manager.receive(0.1)
        if fault.error is None:
            if process.poll() is None:
                self.running.signal(signal.SIGTERM)
            process.wait()
        return self.has_failed(fault)


@pytest.mark.parametrize("error", [None, errno.ENOSPC], ids=["kill", "ENOSPC"])
def test_whichever_change_is_not_made_nothing_is_lost_and_nothing_partial_is_used(
    running: RunningDaemon, programs: Path, stripped: Path, scratch: Path, spool: Path, error: int | None
) -> None:
    directories = SymbolDirectories(scratch / "cache")
    configure(running, directories, spool)
    running.start()
    crash(stripped, spool, "segv")
    running.wait_for_crashes(1)
    downloaded = download(running, stripped, directories)

    def attempt(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {}) as one:
            copied = (running.store.root, directories.root, directories.downloads)
            subprocess.run(["cp", "-a", *copied, directory], check=True)
            own, broken = SymbolDirectories(directory / directories.root.name), directory / "broken"
            configure(one, own, spool)
            broken.touch()
            fault = Fault(number, torn=not error, error=error, lasting=broken if error else None)
            faults = FaultInjector(programs, [own.root, own.downloads], directory / "calls")
            scenario = Scenario(one, own, faults, downloaded)
            happened = scenario.run(fault)
            downloaded.check(own)
            broken.unlink()
            one.wait_until(scenario.is_done, f"the file to be taken over, {fault}")
            one.stop()
            downloaded.check(own)
            assert [path.name for path in own.debug.rglob(".*.new")] == []
            return happened

    assert at_every_change(attempt) > 5
