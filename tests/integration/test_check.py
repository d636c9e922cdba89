"""`astbtd check` of a program that poses as Asterisk: what it foretells comes true, and what helps helps."""

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

from astbtd.readiness.gather import installed_gdb
from astbtd.settings import GdbSettings
from tests.integration.conftest import build
from tests.support.another_build import replace
from tests.support.contained import contained_asterisk, dies_in_its_container
from tests.support.harness import RunningDaemon, allow_cores, die_of, living_asterisk
from tests.support.kernel import core_pattern

STRANGER = "nobody"

Line = dict[str, str | None]
Check = Callable[[], dict[str, Line]]


@pytest.fixture
def check(running: RunningDaemon) -> Check:
    """Runs the command; the checks by name."""

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
    """A copy of the programs, to be changed."""
    return shutil.copytree(programs, scratch / "programs")


@pytest.fixture
def place(scratch: Path) -> Path:
    """A directory in which anyone may work."""
    directory = scratch / "place"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def follow(line: Line) -> None:
    """Does what a remedy says, up to what is only for good."""
    assert line["remedy"]
    subprocess.run(["sh", "-c", line["remedy"].partition("; for good: ")[0]], check=True, capture_output=True)


def dies_with_a_core(process: "subprocess.Popen[bytes]", directory: Path) -> bool:
    die_of(process, signal.SIGSEGV)
    core = directory / "core"
    return core.is_file() and core.stat().st_size > 0


def test_an_asterisk_that_was_started_by_hand(check: Check, programs: Path, place: Path) -> None:
    with living_asterisk(programs, place) as process:
        lines = check()

    assert lines["asterisk"]["found"] == f"pid {process.pid}, started by hand: {programs}/asterisk"
    assert lines["core-directory"]["found"] == str(place)
    assert lines["dumpcore"]["state"] == "warning"  # it dumps core, though not because it was told to
    fine = ("core-limit", "dumpable", "core-pattern", "blocked-core", "core-space", "gdb", "readable", "up-to-date")
    assert {lines[name]["state"] for name in fine} == {"ok"}


@pytest.mark.parametrize(("script", "by"), [("safe_asterisk", "safe_asterisk"), ("fwconsole", "FreePBX (fwconsole)")])
def test_an_asterisk_that_a_script_started(
    check: Check, programs: Path, scratch: Path, place: Path, script: str, by: str
) -> None:
    (scratch / script).write_text(f"#!/bin/sh\n{programs}/asterisk wait\nexit\n")
    (scratch / script).chmod(0o755)
    with subprocess.Popen([scratch / script], cwd=place, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = check()["asterisk"]["found"]
        os.kill(int(str(found).removeprefix("pid ").partition(",")[0]), signal.SIGKILL)

    assert f"started by {by}: " in str(found)


def test_a_build_for_debugging(check: Check, programs: Path, place: Path) -> None:
    with living_asterisk(programs, place):
        lines = check()

    assert lines["symbols"]["found"] == f"{programs}/asterisk has them, as have 5 modules"
    assert lines["dont-optimize"]["found"] == "built with DONT_OPTIMIZE"
    assert lines["better-backtraces"]["found"] == "built with BETTER_BACKTRACES"
    assert lines["debug-threads"]["state"] == "warning"


def test_a_build_for_everyday_use(check: Check, scratch: Path, place: Path) -> None:
    stripped = build(scratch / "stripped", "OPTIMIZE=1", "STRIP=1")
    with living_asterisk(stripped, place):
        lines = check()

    assert f"{stripped}/asterisk and 5 others" in str(lines["symbols"]["found"])
    assert lines["symbols"]["remedy"] == "install Asterisk unstripped: in its source, make && make install"
    assert {lines[name]["state"] for name in ("symbols", "dont-optimize", "better-backtraces")} == {"warning"}


@contextmanager
def separate_symbols(programs: Path) -> Iterator[dict[str, Path]]:
    """Strips the program; yields the places where its symbols may be put, which are cleared afterwards."""
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
def test_symbols_that_are_installed_in_a_file_of_their_own(
    check: Check, own_programs: Path, place: Path, where: str
) -> None:
    with separate_symbols(own_programs) as places, living_asterisk(own_programs, place):
        assert check()["symbols"]["state"] == "warning"
        places[where].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(own_programs / "elsewhere", places[where])
        assert check()["symbols"]["state"] == "ok"


def test_a_module_that_gdb_cannot_read(check: Check, own_programs: Path, place: Path) -> None:
    module = own_programs / "modules" / "app_dial.so"
    module.chmod(0o640)
    with living_asterisk(own_programs, place):
        line = check()["readable"]
        assert (line["state"], line["remedy"]) == ("warning", f"chmod o+r {module}")
        follow(line)
        assert check()["readable"]["state"] == "ok"


@pytest.mark.parametrize("name", ["asterisk", "modules/app_dial.so"])
def test_another_build_on_disk_is_found_until_asterisk_is_started_again(
    check: Check, own_programs: Path, place: Path, name: str
) -> None:
    with living_asterisk(own_programs, place):
        replace(own_programs / name)
        line = check()["up-to-date"]
        assert line["state"] == "failed"
        assert str(own_programs / name) in str(line["found"])
    with living_asterisk(own_programs, place):
        assert check()["up-to-date"]["state"] == "ok"


def test_the_same_build_installed_again_is_no_change(check: Check, own_programs: Path, place: Path) -> None:
    with living_asterisk(own_programs, place):
        for name in ("asterisk", "modules/app_dial.so"):
            shutil.copy2(own_programs / name, own_programs / "new")
            os.replace(own_programs / "new", own_programs / name)
        assert check()["up-to-date"]["state"] == "ok"


def test_a_module_that_was_deleted_or_written_over(check: Check, own_programs: Path, place: Path) -> None:
    written, deleted = (own_programs / "modules" / name for name in ("app_dial.so", "res_pjsip.so"))
    with living_asterisk(own_programs, place):
        later = time.time() + 60
        os.utime(written, (later, later))
        assert check()["up-to-date"]["state"] == "warning"
        deleted.unlink()
        assert check()["up-to-date"]["state"] == "failed"


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_that_forbids_cores(check: Check, programs: Path, place: Path, limit: int) -> None:
    allow_cores()
    with living_asterisk(programs, place) as process:
        subprocess.run(["prlimit", f"--pid={process.pid}", f"--core={limit}:"], check=True)
        assert check()["core-limit"]["state"] == "failed"
        assert not dies_with_a_core(process, place)
    with living_asterisk(programs, place) as process:
        subprocess.run(["prlimit", f"--pid={process.pid}", f"--core={limit}:"], check=True)
        follow(check()["core-limit"])
        assert check()["core-limit"]["state"] == "ok"
        assert dies_with_a_core(process, place)


def test_another_users_core_in_a_sticky_directory(check: Check, programs: Path, place: Path) -> None:
    place.chmod(0o1777)
    (place / "core").touch()
    with living_asterisk(programs, place, user=STRANGER) as process:
        assert check()["blocked-core"]["state"] == "failed"
        assert not dies_with_a_core(process, place)
    with living_asterisk(programs, place, user=STRANGER) as process:
        follow(check()["blocked-core"])
        assert check()["blocked-core"]["state"] == "ok"
        assert dies_with_a_core(process, place)


def test_an_asterisk_in_a_container(
    running: RunningDaemon, check: Check, programs: Path, place: Path, scratch: Path
) -> None:
    (scratch / "root").mkdir()
    with contained_asterisk(programs, scratch / "root", place) as container:
        lines = check()
        assert lines["core-directory"]["found"] == "/shared is in a container, and not seen from here"
        assert {lines[name]["state"] for name in ("readable", "symbols", "up-to-date")} == {"unknown"}

        running.configure({"watch": {"directories": [str(place)]}})
        assert check()["core-directory"]["state"] == "ok"
        dies_in_its_container(container)
    assert (place / "core").stat().st_size > 0


def test_a_directory_in_the_place_of_the_core(check: Check, programs: Path, place: Path) -> None:
    (place / "core").mkdir()
    with living_asterisk(programs, place) as process:
        assert check()["blocked-core"]["state"] == "failed"
        follow(check()["blocked-core"])
        assert check()["blocked-core"]["state"] == "ok"
        assert dies_with_a_core(process, place)


def test_a_limit_that_cuts_cores(check: Check, programs: Path, place: Path) -> None:
    allow_cores()
    with living_asterisk(programs, place, "--megabytes", "16") as process:
        subprocess.run(["prlimit", f"--pid={process.pid}", "--core=1048576:"], check=True)
        line = check()["core-limit"]
        assert (line["state"], "is cut short" in str(line["found"])) == ("warning", True)
        follow(line)
        assert check()["core-limit"]["state"] == "ok"
        assert dies_with_a_core(process, place)
    assert (place / "core").stat().st_size > 16 << 20


def test_a_gdb_without_python(running: RunningDaemon, check: Check, gdb_minimal: Path) -> None:
    running.configure({"gdb": {"program": str(gdb_minimal)}})

    line = check()["gdb"]

    assert (line["state"], line["remedy"]) == ("warning", "apt install gdb")
    assert "has no Python: only backtrace.txt is written" in str(line["found"])


def test_a_gdb_that_is_old(running: RunningDaemon, check: Check, scratch: Path) -> None:
    old = scratch / "old-gdb"
    old.write_text("#!/bin/sh\ngdb \"$@\" | sed 's/^\\(GNU gdb .*\\) [0-9.]*$/\\1 12.1/'\n")
    old.chmod(0o755)
    running.configure({"gdb": {"program": str(old)}})
    line = check()["gdb"]
    assert (line["state"], "12.1 is older than 13" in str(line["found"])) == ("warning", True)

    running.configure({"gdb": {"program": "gdb"}})
    assert check()["gdb"]["state"] == "ok"


def test_a_directory_that_is_closed_to_asterisk(check: Check, programs: Path, place: Path) -> None:
    place.chmod(0o755)
    with living_asterisk(programs, place, user=STRANGER) as process:
        assert check()["core-directory"]["state"] == "failed"
        assert not dies_with_a_core(process, place)


def test_a_disk_that_is_too_full_for_a_core(check: Check, programs: Path, place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", place], check=True)
    try:
        with living_asterisk(programs, place, "--megabytes", "16") as process:
            assert check()["core-space"]["state"] == "failed"
            subprocess.run(["mount", "-o", "remount,size=64M", place], check=True)
            assert check()["core-space"]["state"] == "ok"
            assert dies_with_a_core(process, place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_core_pattern_that_leads_to_a_directory_which_is_not_there(
    check: Check, programs: Path, place: Path, scratch: Path
) -> None:
    cores = scratch / "cores"
    with core_pattern(f"{cores}/core"), living_asterisk(programs, place) as process:
        line = check()["core-directory"]
        assert (line["state"], line["found"]) == ("failed", f"{cores} does not exist")
        follow(line)
        assert check()["core-directory"]["state"] == "ok"
        assert dies_with_a_core(process, cores)


def test_a_core_pattern_that_leads_to_a_program(check: Check) -> None:
    with core_pattern("|/nonexistent/helper %p"):
        line = check()["core-pattern"]
        assert line["state"] == "failed"
        subprocess.run(str(line["remedy"]).partition(" && ")[0].split(), check=True, capture_output=True)
        assert check()["core-pattern"]["state"] == "ok"


@pytest.mark.skipif(not (shutil.which("bindfs") and os.path.exists("/dev/fuse")), reason="needs bindfs and /dev/fuse")
def test_a_file_system_that_no_longer_answers_is_not_waited_for(
    check: Check, programs: Path, place: Path, scratch: Path
) -> None:
    behind = scratch / "behind"
    behind.mkdir()
    server = subprocess.Popen(["bindfs", "-f", behind, place])
    try:
        while not os.path.ismount(place):
            time.sleep(0.01)
        with living_asterisk(programs, place):
            server.send_signal(signal.SIGSTOP)
            line = check()["core-directory"]
            server.send_signal(signal.SIGCONT)
        assert (line["state"], line["found"]) == ("unknown", "its working directory: no answer within 10 s")
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("what", "why"), [("exec sleep 1000", "timeout"), ("echo no libpython; exit 127", "no libpython")]
)
def test_a_gdb_that_hangs_or_cannot_start(scratch: Path, monkeypatch: pytest.MonkeyPatch, what: str, why: str) -> None:
    program = scratch / "gdb"
    program.write_text(f"#!/bin/sh\n{what}\n")
    program.chmod(0o755)
    monkeypatch.setattr(installed_gdb, "SECONDS", 2.0)

    found = installed_gdb.gdb(GdbSettings(program=str(program)))

    assert found.problem == f"{program} does not work: {why}"


def test_without_an_asterisk_what_only_a_running_one_shows_is_unknown(check: Check) -> None:
    lines = check()

    assert lines["asterisk"]["found"] == "Asterisk does not run"
    assert {lines[name]["state"] for name in ("core-limit", "dumpable", "core-directory", "up-to-date")} == {"unknown"}
    assert {lines[name]["state"] for name in ("core-pattern", "gdb")} == {"ok"}


def test_the_daemon_says_what_fails_when_it_starts_and_when_it_is_mended(
    running: RunningDaemon, programs: Path, place: Path
) -> None:
    place.chmod(0o755)
    failure = "the next crash gives no usable backtrace"
    with living_asterisk(programs, place, user=STRANGER):
        running.start()
        running.wait_until(lambda: f"{failure} (core-directory)" in running.manager.status, "the status to tell")
        assert f"{failure}: core-directory: {place} is not writable" in running.output()

        place.chmod(0o777)
        running.signal(signal.SIGHUP)
        running.wait_until(lambda: failure not in running.manager.status, "the status to be clear")
    assert running.output().count(failure) == 1
    assert "check core-directory no longer fails" in running.output()


def test_the_daemon_checks_an_asterisk_that_starts(
    running: RunningDaemon, programs: Path, place: Path, scratch: Path
) -> None:
    run = scratch / "run"
    run.mkdir()
    run.chmod(0o777)
    place.chmod(0o755)
    running.configure({"asterisk": {"run_directory": str(run)}})
    running.start()
    with living_asterisk(programs, place, "--pid-file", str(run / "asterisk.pid"), user=STRANGER):
        running.wait_until(lambda: "(core-directory)" in running.manager.status, "the status to tell")
