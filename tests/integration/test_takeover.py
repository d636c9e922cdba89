"""A compromised gdb can read one core and write its sections, and nothing else."""

import json
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from astbtd.extraction import sandbox_kernel
from astbtd.model.crash import Crash, ExtractionOutcome, Section
from tests.support.cgroups import memory_cgroup
from tests.support.commands import command_line, section_text
from tests.support.harness import RunningDaemon, crash
from tests.support.missing_kernel_parts import command_without

TAKEN_OVER = Path(__file__).parent.parent / "programs" / "taken_over.py"
OUTPUT = 4 << 20  # bytes
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--")

Report = dict[str, Any]

pytestmark = [
    pytest.mark.skipif(not sandbox_kernel.landlock_version(), reason="this kernel has no Landlock"),
    pytest.mark.serial,  # the kernel counts the processes of gdb's user on the whole machine, and these use all of them
]


def compromise_gdb(running: RunningDaemon, scratch: Path, spool: Path, source: str, **given: object) -> None:
    """Run a Python program, which all users may execute, in place of gdb."""
    gdb = scratch / "gdb"
    gdb.write_text(f"#!{os.path.realpath(sys.executable)} -IS\n{source}")
    gdb.chmod(0o755)
    (scratch / "given.json").write_text(json.dumps(given))
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(gdb), "output": OUTPUT}})


@pytest.fixture
def trees(running: RunningDaemon, scratch: Path) -> list[str]:
    """The directory trees with secrets."""
    secret = scratch / "secret"
    secret.write_text("a password")
    secret.chmod(0o600)
    running.configuration.chmod(0o600)
    return [str(scratch), "/etc", "/root", "/home", "/var/lib"]


@pytest.fixture
def reports(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, trees: list[str]
) -> list[tuple[Crash, Report]]:
    """Its reports on two cores; the second is queued while the first is processed."""
    writable = scratch / "writable"
    writable.write_text("writable by all")
    writable.chmod(0o666)
    spool.chmod(0o777)
    directories = [str(scratch), str(spool), str(running.store.root)]
    given = {"trees": trees, "directories": directories, "writable": [str(writable)]}
    compromise_gdb(running, scratch, spool, TAKEN_OVER.read_text(), **given)
    for second, name in enumerate(("core.queued", "core.first")):
        crash(programs, spool, "segv").rename(spool / name)
        os.utime(spool / name, (1_700_000_000 + second, 1_700_000_000 + second))
    running.start()
    crashes = sorted(running.wait_for_crashes(2), key=lambda crash: crash.collected_at)
    logs = [section_text(running, recorded, Section.LOG) for recorded in crashes]
    return [(recorded, json.loads(log.splitlines()[0])) for recorded, log in zip(crashes, logs, strict=True)]


def test_it_cannot_write_files_or_reach_processes(reports: list[tuple[Crash, Report]]) -> None:
    for _, report in reports:
        assert report["tried"] > 100
        assert report["could"] == []
        assert report["could in a name space"] == []


def test_it_can_read_what_nobody_can_read_and_the_one_core(
    reports: list[tuple[Crash, Report]], trees: list[str]
) -> None:
    found = subprocess.run([*NOBODY, "find", *trees, "-readable"], capture_output=True, text=True, check=False)
    nobodys = set(found.stdout.splitlines())
    for recorded, report in reports:
        core = Path(recorded.core.path)
        ours = {str(core), str(core.with_name(f".astbtd.{recorded.id}"))}
        assert {path for path in report["readable"] if path not in nobodys and "/gdb-" not in path} == ours


def test_its_open_files_are_the_core_the_script_and_the_sections(reports: list[tuple[Crash, Report]]) -> None:
    for recorded, report in reports:
        sections = {*Section, "facts", "states"}
        named = {os.path.basename(target) for target in report["open"].values()}
        sockets = {name for name in named if name.startswith("socket:")}
        assert len(sockets) <= 1
        assert named - sockets == {"null", Path(recorded.core.path).name, "memfd:astbtd (deleted)", *sections}


def test_without_landlock_it_cannot_write_files_either(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    writable = scratch / "writable"
    writable.write_text("writable by all")
    writable.chmod(0o666)
    given = {"trees": [], "directories": [str(scratch), str(spool)], "writable": [str(writable)]}
    compromise_gdb(running, scratch, spool, TAKEN_OVER.read_text(), **given)
    spool.chmod(0o777)
    running.wrapper = tuple(command_without(["landlock"], []))
    running.start()
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    report = json.loads(section_text(running, recorded, Section.LOG).splitlines()[0])
    assert report["tried"] > 80
    # Signals to other processes of its own user are Landlock's to deny.
    assert [what for what in report["could"] if not what.startswith("a signal to")] == []
    assert report["could in a name space"] == []
    assert recorded.extraction.notes == (sandbox_kernel.NO_LANDLOCK,)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert sandbox_kernel.NO_LANDLOCK in running.manager.status
    checked = subprocess.run(
        command_without(["landlock"], command_line(running, "check")), capture_output=True, text=True, check=False
    )
    assert re.search(rf"warning +sandbox +{re.escape(sandbox_kernel.NO_LANDLOCK)}", checked.stdout), checked.stdout


_ALLOCATES = """
import json, os, resource, signal, sys
held = []
def memory():
    descriptor = os.memfd_create("held")
    os.ftruncate(descriptor, 1 << 30)
    held.append(descriptor)
def processes():
    while True:
        if os.fork() == 0:
            signal.pause()
could = {}
for attempt in (memory, processes):
    try:
        attempt()
        could[attempt.__name__] = "succeeded"
    except OSError as error:
        could[attempt.__name__] = error.strerror
could["processes allowed"] = resource.getrlimit(resource.RLIMIT_NPROC)
could["oom_score_adj"] = int(open("/proc/self/oom_score_adj").read())
print(json.dumps(could), flush=True)
os.execv("/usr/bin/gdb", ["gdb", *sys.argv[1:]])
"""


def test_its_memory_is_limited_and_it_is_killed_before_other_processes(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    compromise_gdb(running, scratch, spool, _ALLOCATES)
    running.start()
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    log = section_text(running, recorded, Section.LOG)
    could = json.loads(next(line for line in log.splitlines() if line.startswith("{")))
    assert could == {
        "memory": "Operation not permitted",
        "processes": "Resource temporarily unavailable",
        "processes allowed": [32, 32],
        "oom_score_adj": 1000,
    }
    assert recorded.diagnosis.crash_function == "do_forward"
    assert Path(f"/proc/{running.process.pid}/oom_score_adj").read_text().strip() != "1000"


_EXHAUSTS = """
import os, signal, sys
def hold():
    held = bytearray(64 << 20)
    for page in range(0, len(held), 4096):
        held[page] = 1
    signal.pause()
for _ in range(25):
    if os.fork() == 0:
        hold()
os.wait()  # until the kernel has killed one of them; it may leave this one alone
os.kill(os.getpid(), signal.SIGKILL)
"""
_MEMORY_LIMIT = 400 << 20  # a quarter of what it tries to use; the daemon and a real gdb need another quarter


def test_its_processes_are_killed_before_the_daemon_when_the_memory_of_the_unit_is_used_up(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    with memory_cgroup(_MEMORY_LIMIT) as cgroup:
        if cgroup is None:
            pytest.skip("this host has no memory cgroups, or permits no new one")
        running.wrapper = cgroup.wrapper
        compromise_gdb(running, scratch, spool, _EXHAUSTS)
        running.start()
        crash(programs, spool, "segv")

        (recorded,) = running.wait_for_crashes(1)

        assert cgroup.killed() > 0
        assert recorded.extraction.ended is ExtractionOutcome.KILLED
        assert running.process.poll() is None
        assert running.stop() == 0


def test_the_crash_is_recorded(reports: list[tuple[Crash, Report]]) -> None:
    for recorded, _ in reports:
        assert recorded.extraction.ended is ExtractionOutcome.OK
        assert recorded.diagnosis.crash_function == "do_forward"


_STAYS = """
import os, signal, sys
def child():
    try:
        return os.fork() == 0
    except OSError:  # the limit on processes
        return False
for hides in (True, False):
    if child():
        os.setsid()
        if child():
            os.setsid()
        else:
            os._exit(0)
        os.close(1)
        while hides:
            signal.pause()
        while True:  # never has the same pid for long
            try:
                if os.fork():
                    os._exit(0)
            except OSError:
                pass
os.execv("/usr/bin/gdb", ["gdb", *sys.argv[1:]])
"""


def test_no_process_of_it_remains(running: RunningDaemon, programs: Path, scratch: Path, spool: Path) -> None:
    compromise_gdb(running, scratch, spool, _STAYS)
    running.start()
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    assert recorded.diagnosis.crash_function == "do_forward"
    running.wait_until(lambda: not statuses_of_gdb(), "all processes of gdb to end, also that of `astbtd check`")
    running.stop()
    assert statuses_of_gdb() == []


def statuses_of_gdb() -> list[str]:
    account = pwd.getpwnam("astbtd-gdb").pw_uid
    return [status for status in statuses() if f"\nUid:\t{account}\t" in status]


def statuses() -> Iterator[str]:
    """Yield the status of each process in our pid namespace. Those of other namespaces are of tests that run beside."""
    ours = os.readlink("/proc/self/ns/pid")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # a guarded process is none of ours
            if os.readlink(process / "ns/pid") == ours:
                yield (process / "status").read_text()


_FLOODS = """
import json, os
sections = json.loads(os.environ["ASTBTD_JOB"])["sections"].values()
while True:
    for section in sections:
        try:
            os.write(section, bytes(1 << 16))
        except OSError:
            pass
"""


def test_it_cannot_fill_the_disk(running: RunningDaemon, programs: Path, scratch: Path, spool: Path) -> None:
    compromise_gdb(running, scratch, spool, _FLOODS)
    running.start()
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    files = [path.stat() for path in running.store.directory(recorded.id).iterdir()]
    assert recorded.extraction.ended is ExtractionOutcome.TOO_MUCH_OUTPUT
    assert sum(status.st_blocks * 512 for status in files) < OUTPUT + (1 << 20)
