"""`astbtd check` of a test program named asterisk: its predictions are right, and its remedies work."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.readiness.gather import host
from astbtd.settings import GdbSettings
from tests.support.another_build import replace
from tests.support.commands import build
from tests.support.contained import contained_asterisk, crash_in_container
from tests.support.fuse import needs_fuse, served
from tests.support.harness import RunningDaemon, allow_cores, end_by_signal, running_asterisk
from tests.support.kernel import core_pattern

OTHER_USER = "nobody"

Line = dict[str, str | None]
Check = Callable[[], dict[str, Line]]


@pytest.fixture
def check(running: RunningDaemon) -> Check:
    """Return a function that runs the command and returns the checks by name."""

    def check() -> dict[str, Line]:
        done = subprocess.run(
            [sys.executable, "-m", "astbtd", "check", "--json", "--config", running.configuration],
            capture_output=True,
            check=False,
        )
        document = json.loads(done.stdout)
        assert done.returncode == (4 if document["usable"] is False else 0)
        return {line["name"]: line for line in document["checks"]}

    return check


@pytest.fixture
def own_programs(programs: Path, scratch: Path) -> Path:
    """A copy of the programs that the test may change."""
    return shutil.copytree(programs, scratch / "programs")


@pytest.fixture
def directory(scratch: Path) -> Path:
    """A directory that every user can write to."""
    directory = scratch / "directory"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def follow(line: Line) -> None:
    """Execute a remedy, except for the permanent part."""
    assert line["remedy"]
    subprocess.run(["sh", "-c", line["remedy"].partition("; permanently: ")[0]], check=True, capture_output=True)


def dies_with_a_core(process: "subprocess.Popen[bytes]", directory: Path) -> bool:
    end_by_signal(process, signal.SIGSEGV)
    core = directory / "core"
    return core.is_file() and core.stat().st_size > 0


def test_an_asterisk_started_by_hand(check: Check, programs: Path, directory: Path) -> None:
    with running_asterisk(programs, directory) as process:
        lines = check()

    assert lines["asterisk"]["found"] == f"pid {process.pid}, started by hand: {programs}/asterisk"
    assert lines["core-directory"]["found"] == str(directory)
    assert lines["dumpcore"]["state"] == "warning"  # it dumps core, but is not configured to
    fine = ("core-limit", "dumpable", "core-pattern", "blocked-core", "core-space", "gdb", "readable", "up-to-date")
    assert {lines[name]["state"] for name in fine} == {"ok"}


@pytest.mark.parametrize(("script", "by"), [("safe_asterisk", "safe_asterisk"), ("fwconsole", "FreePBX (fwconsole)")])
def test_an_asterisk_started_by_a_script(
    check: Check, programs: Path, scratch: Path, directory: Path, script: str, by: str
) -> None:
    (scratch / script).write_text(f"#!/bin/sh\n{programs}/asterisk wait\nexit\n")
    (scratch / script).chmod(0o755)
    with subprocess.Popen([scratch / script], cwd=directory, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = check()["asterisk"]["found"]
        os.kill(int(str(found).removeprefix("pid ").partition(",")[0]), signal.SIGKILL)

    assert f"started by {by}: " in str(found)


def test_a_build_for_debugging(check: Check, programs: Path, directory: Path) -> None:
    with running_asterisk(programs, directory):
        lines = check()

    assert lines["symbols"]["found"] == f"found in {programs}/asterisk and 5 modules"
    assert lines["dont-optimize"]["found"] == "built with DONT_OPTIMIZE"
    assert lines["better-backtraces"]["found"] == "built with BETTER_BACKTRACES"
    assert lines["debug-threads"]["state"] == "warning"


def test_a_build_without_debugging_options(check: Check, scratch: Path, directory: Path) -> None:
    stripped = build(scratch / "stripped", "OPTIMIZE=1", "STRIP=1")
    with running_asterisk(stripped, directory):
        lines = check()

    assert f"{stripped}/asterisk and 5 others" in str(lines["symbols"]["found"])
    remedy = str(lines["symbols"]["remedy"])
    assert remedy.startswith(f"No package owns {stripped}/asterisk and 1 more: it was built from source.")
    assert "`make && make install`, without stripping" in remedy
    assert {lines[name]["state"] for name in ("symbols", "dont-optimize", "better-backtraces")} == {"warning"}


@contextmanager
def separate_symbols(programs: Path) -> Iterator[dict[str, Path]]:
    """Strip the program; yield the locations where gdb looks for its symbols, and clean up afterwards."""
    program, symbols = programs / "asterisk", programs / "asterisk.debug"
    subprocess.run(["objcopy", "--only-keep-debug", program, symbols], check=True)
    subprocess.run(["strip", "--strip-all", program], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={symbols}", program], check=True)
    notes = subprocess.run(["readelf", "--notes", program], check=True, capture_output=True, text=True).stdout
    build_id = notes.partition("Build ID: ")[2].split()[0]
    by_build_id = Path(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
    symbols.rename(programs / "elsewhere")
    try:
        yield {"beside": symbols, "below": programs / ".debug" / symbols.name, "build id": by_build_id}
    finally:
        by_build_id.unlink(missing_ok=True)


@pytest.mark.parametrize("where", ["beside", "below", "build id"])
def test_symbols_in_a_separate_file(check: Check, own_programs: Path, directory: Path, where: str) -> None:
    with separate_symbols(own_programs) as places, running_asterisk(own_programs, directory):
        assert check()["symbols"]["state"] == "warning"
        places[where].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(own_programs / "elsewhere", places[where])
        assert check()["symbols"]["state"] == "ok"


def test_a_module_that_gdb_cannot_read(check: Check, own_programs: Path, directory: Path) -> None:
    module = own_programs / "modules" / "app_dial.so"
    module.chmod(0o640)
    with running_asterisk(own_programs, directory):
        line = check()["readable"]
        assert (line["state"], line["remedy"]) == ("warning", f"chmod o+r {module}")
        follow(line)
        assert check()["readable"]["state"] == "ok"


@pytest.mark.parametrize("name", ["asterisk", "modules/app_dial.so"])
def test_another_build_on_disk_is_reported_until_asterisk_is_restarted(
    check: Check, own_programs: Path, directory: Path, name: str
) -> None:
    with running_asterisk(own_programs, directory):
        replace(own_programs / name)
        line = check()["up-to-date"]
        assert line["state"] == "failed"
        assert str(own_programs / name) in str(line["found"])
    with running_asterisk(own_programs, directory):
        assert check()["up-to-date"]["state"] == "ok"


def test_reinstalling_the_same_build_is_no_change(check: Check, own_programs: Path, directory: Path) -> None:
    with running_asterisk(own_programs, directory):
        for name in ("asterisk", "modules/app_dial.so"):
            shutil.copy2(own_programs / name, own_programs / "new")
            os.replace(own_programs / "new", own_programs / name)
        assert check()["up-to-date"]["state"] == "ok"


def test_a_module_that_was_deleted_or_overwritten(check: Check, own_programs: Path, directory: Path) -> None:
    written, deleted = (own_programs / "modules" / name for name in ("app_dial.so", "res_pjsip.so"))
    with running_asterisk(own_programs, directory):
        later = time.time() + 60
        os.utime(written, (later, later))
        assert check()["up-to-date"]["state"] == "warning"
        deleted.unlink()
        assert check()["up-to-date"]["state"] == "failed"


@pytest.mark.parametrize("limit", [0, 1])
def test_a_core_limit_that_prevents_cores(check: Check, programs: Path, directory: Path, limit: int) -> None:
    allow_cores()
    with running_asterisk(programs, directory) as process:
        subprocess.run(["prlimit", f"--pid={process.pid}", f"--core={limit}:"], check=True)
        assert check()["core-limit"]["state"] == "failed"
        assert not dies_with_a_core(process, directory)
    with running_asterisk(programs, directory) as process:
        subprocess.run(["prlimit", f"--pid={process.pid}", f"--core={limit}:"], check=True)
        follow(check()["core-limit"])
        assert check()["core-limit"]["state"] == "ok"
        assert dies_with_a_core(process, directory)


def test_a_file_of_another_user_in_a_sticky_directory_blocks_the_core(
    check: Check, programs: Path, directory: Path
) -> None:
    directory.chmod(0o1777)
    (directory / "core").touch()
    with running_asterisk(programs, directory, user=OTHER_USER) as process:
        assert check()["blocked-core"]["state"] == "failed"
        assert not dies_with_a_core(process, directory)
    with running_asterisk(programs, directory, user=OTHER_USER) as process:
        follow(check()["blocked-core"])
        assert check()["blocked-core"]["state"] == "ok"
        assert dies_with_a_core(process, directory)


def test_an_asterisk_in_a_container(
    running: RunningDaemon, check: Check, programs: Path, directory: Path, scratch: Path
) -> None:
    (scratch / "root").mkdir()
    with contained_asterisk(programs, scratch / "root", directory) as container:
        lines = check()
        assert lines["core-directory"]["found"] == "/shared is in a container, not accessible from the host"
        assert {lines[name]["state"] for name in ("readable", "symbols", "up-to-date")} == {"unknown"}

        running.configure({"watch": {"directories": [str(directory)]}})
        assert check()["core-directory"]["state"] == "ok"
        crash_in_container(container)
    assert (directory / "core").stat().st_size > 0


def test_a_directory_with_the_name_of_the_core_blocks_it(check: Check, programs: Path, directory: Path) -> None:
    (directory / "core").mkdir()
    with running_asterisk(programs, directory) as process:
        assert check()["blocked-core"]["state"] == "failed"
        follow(check()["blocked-core"])
        assert check()["blocked-core"]["state"] == "ok"
        assert dies_with_a_core(process, directory)


def test_a_core_limit_that_truncates_cores(check: Check, programs: Path, directory: Path) -> None:
    allow_cores()
    with running_asterisk(programs, directory, "--megabytes", "16") as process:
        subprocess.run(["prlimit", f"--pid={process.pid}", "--core=1048576:"], check=True)
        line = check()["core-limit"]
        assert (line["state"], "is truncated" in str(line["found"])) == ("warning", True)
        follow(line)
        assert check()["core-limit"]["state"] == "ok"
        assert dies_with_a_core(process, directory)
    assert (directory / "core").stat().st_size > 16 << 20


def test_a_gdb_without_python(running: RunningDaemon, check: Check, gdb_minimal: Path) -> None:
    running.configure({"gdb": {"program": str(gdb_minimal)}})

    line = check()["gdb"]

    assert (line["state"], line["remedy"]) == ("warning", "apt install gdb")
    assert "has no Python: only backtrace.txt is written" in str(line["found"])


def test_an_old_gdb(running: RunningDaemon, check: Check, scratch: Path) -> None:
    old = scratch / "old-gdb"
    old.write_text("#!/bin/sh\ngdb \"$@\" | sed 's/^\\(GNU gdb .*\\) [0-9.]*$/\\1 12.1/'\n")
    old.chmod(0o755)
    running.configure({"gdb": {"program": str(old)}})
    line = check()["gdb"]
    assert (line["state"], "12.1 is older than 13" in str(line["found"])) == ("warning", True)

    running.configure({"gdb": {"program": "gdb"}})
    assert check()["gdb"]["state"] == "ok"


def test_a_directory_that_asterisk_cannot_write_to(check: Check, programs: Path, directory: Path) -> None:
    directory.chmod(0o755)
    with running_asterisk(programs, directory, user=OTHER_USER) as process:
        assert check()["core-directory"]["state"] == "failed"
        assert not dies_with_a_core(process, directory)


def test_a_disk_that_is_too_full_for_a_core(check: Check, programs: Path, directory: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", directory], check=True)
    try:
        with running_asterisk(programs, directory, "--megabytes", "16") as process:
            assert check()["core-space"]["state"] == "failed"
            subprocess.run(["mount", "-o", "remount,size=64M", directory], check=True)
            assert check()["core-space"]["state"] == "ok"
            assert dies_with_a_core(process, directory)
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.serial
def test_a_core_pattern_with_a_missing_directory(check: Check, programs: Path, directory: Path, scratch: Path) -> None:
    cores = scratch / "cores"
    with core_pattern(f"{cores}/core"), running_asterisk(programs, directory) as process:
        line = check()["core-directory"]
        assert (line["state"], line["found"]) == ("failed", f"{cores} does not exist")
        follow(line)
        assert check()["core-directory"]["state"] == "ok"
        assert dies_with_a_core(process, cores)


@pytest.mark.serial
def test_a_core_pattern_with_a_missing_program(check: Check) -> None:
    with core_pattern("|/nonexistent/helper %p"):
        line = check()["core-pattern"]
        assert line["state"] == "failed"
        subprocess.run(str(line["remedy"]).partition(" && ")[0].split(), check=True, capture_output=True)
        assert check()["core-pattern"]["state"] == "ok"


@needs_fuse
def test_a_stuck_file_system_does_not_block_the_check(
    check: Check, programs: Path, directory: Path, scratch: Path
) -> None:
    behind = scratch / "behind"
    behind.mkdir()
    with served(behind, directory) as mount, running_asterisk(programs, directory):
        mount.suspend()
        line = check()["core-directory"]
        mount.resume()
    assert (line["state"], line["found"]) == ("unknown", "its working directory: no answer within 10 s")


@pytest.mark.parametrize(
    ("what", "why"),
    [("exec sleep 1000", "it prints no version (timeout)"), ("echo no libpython; exit 127", "no libpython")],
)
def test_a_gdb_that_hangs_or_cannot_start(scratch: Path, monkeypatch: pytest.MonkeyPatch, what: str, why: str) -> None:
    program = scratch / "gdb"
    program.write_text(f"#!/bin/sh\n{what}\n")
    program.chmod(0o755)
    monkeypatch.setattr(host, "SECONDS", 2.0)

    found = host.read_gdb(GdbSettings(program=str(program)))

    assert found.problem == f"gdb cannot start: {why}"


def test_without_a_running_asterisk_some_checks_are_unknown(check: Check) -> None:
    lines = check()

    assert lines["asterisk"]["found"] == "Asterisk is not running"
    assert {lines[name]["state"] for name in ("core-limit", "dumpable", "core-directory", "up-to-date")} == {"unknown"}
    assert {lines[name]["state"] for name in ("core-pattern", "gdb")} == {"ok"}


def test_the_daemon_reports_a_failed_check_and_when_it_passes_again(
    running: RunningDaemon, programs: Path, directory: Path
) -> None:
    directory.chmod(0o755)
    failure = "the next crash will not give a usable backtrace"
    with running_asterisk(programs, directory, user=OTHER_USER):
        running.start()
        running.wait_until(lambda: f"{failure} (core-directory)" in running.manager.status, "the status to report it")
        assert f"{failure}: core-directory: {directory} is not writable" in running.output()

        directory.chmod(0o777)
        running.signal(signal.SIGHUP)
        running.wait_until(lambda: failure not in running.manager.status, "the status to be clean")
    assert running.output().count(failure) == 1
    assert "check core-directory no longer fails" in running.output()


def test_the_daemon_checks_an_asterisk_that_starts(
    running: RunningDaemon, programs: Path, directory: Path, scratch: Path
) -> None:
    run = scratch / "run"
    run.mkdir()
    run.chmod(0o777)
    directory.chmod(0o755)
    running.configure({"asterisk": {"run_directory": str(run)}})
    running.start()
    with running_asterisk(programs, directory, "--pid-file", str(run / "asterisk.pid"), user=OTHER_USER):
        running.wait_until(lambda: "(core-directory)" in running.manager.status, "the status to report it")
