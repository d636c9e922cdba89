"""A stripped Asterisk and a debuginfod server on the loopback interface: debug files come without anybody's help."""

import re
from collections.abc import Iterator

import pytest

from tests.support.containers.asterisk import CRASH_MODULE, Asterisk, Crash
from tests.support.containers.container import Container, wait_until
from tests.support.containers.extended_image import cached_debuginfod_image
from tests.support.containers.machine import Machine
from tests.support.containers.service import HIGHEST_EXPOSURES, STORE, Service

ADDRESS = "http://127.0.0.1:8002"
SYMBOLS = f"symbols: {{debuginfod: ['{ADDRESS}']}}\n"
TOO_LARGE = f"symbols: {{debuginfod: ['{ADDRESS}'], size: 1000000 GB}}\n"
CACHE = "/var/cache/astbtd"
DEBUG_FILES = "/srv/debug"
UNITS = ("astbtd-symbols.service", "astbtd-symbols.path", "astbtd-symbols.timer")

# Moves the debug information of the crash module into a file that only the server has, as a distribution does.
STRIP = f"""
module=/usr/lib/$(gcc -print-multiarch)/asterisk/modules/res_astbtd_crash.so
mkdir -p {DEBUG_FILES}
objcopy --only-keep-debug $module {DEBUG_FILES}/res_astbtd_crash.so.debug
strip --strip-all $module
readelf --notes $module | sed -n 's/.*Build ID: //p'
"""
# What the unit can read and write: run with its sandbox, in the place of its program.
PROBE = f"""#!/bin/sh
ls {STORE} >/dev/null 2>&1 && echo store
ls {CACHE}/debug >/dev/null 2>&1 && echo debug
ls /etc/asterisk >/dev/null 2>&1 && echo asterisk
(: >{CACHE}/wanted) 2>/dev/null && echo request
(: >/tmp/probe) 2>/dev/null && test -e /proc/1/root/tmp/probe && echo tmp
cat {CACHE}/wanted >/dev/null && echo wanted
grep -E '^(CapEff|NoNewPrivs):' /proc/self/status
id --user
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine with a server that has the debug file of the crash module."""
    with Container.booted(image=cached_debuginfod_image()) as container:
        machine = Machine(container, Asterisk(container), Service(container))
        container.copy_in(CRASH_MODULE, f"/usr/src/{CRASH_MODULE.name}")
        build = ("make", f"--directory=/usr/src/{CRASH_MODULE.name}", "install", "CFLAGS=-g -O0 -fPIC -Wl,--build-id")
        container.run(*build)
        yield machine


@pytest.fixture(scope="module")
def build_id(machine: Machine) -> str:
    """The build id of the crash module, which is stripped now, loaded, and known to the running server."""
    found = machine.container.run("sh", "-c", STRIP).stdout.strip()
    server = ("systemd-run", "--unit=debuginfod", "debuginfod", "-v", "--database=:memory:", "--scan-file-dir")
    machine.container.run(*server, DEBUG_FILES)
    groomed = ("journalctl", "--unit=debuginfod", "--grep=groomed database")
    wait_until(lambda: not machine.container.run(*groomed, check=False).returncode, "the server has read the file")
    machine.asterisk.console("module load res_astbtd_crash.so")
    machine.service.install()
    machine.service.configure(SYMBOLS)
    machine.service.start()
    return found


def test_the_debug_file_of_a_crash_is_obtained_without_intervention(machine: Machine, build_id: str) -> None:
    crashed = machine.crash(Crash.SEGV)
    debug_file = f"{CACHE}/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"

    wait_until(lambda: not machine.container.run("test", "-e", debug_file, check=False).returncode, "the file comes")

    assert crashed["diagnosis"]["crash_function"] is None
    modes = machine.container.run("stat", "--format=%a %U:%G", debug_file, f"{CACHE}/debug", CACHE).stdout.split("\n")
    assert modes[:3] == ["440 root:astbtd-gdb", "750 root:astbtd-gdb", "755 root:astbtd"]
    machine.container.run("astbtd", "core", crashed["id"], "--output", "/var/tmp/kept-core")
    machine.container.run("astbtd", "extract", "--output", "/var/tmp/again", "/var/tmp/kept-core")
    assert "write_hangup_cause (" in machine.container.run("cat", "/var/tmp/again/thread1.txt").stdout
    assert any("obtained debug files of" in entry["MESSAGE"] for entry in machine.service.entries())


@pytest.mark.usefixtures("build_id")
def test_check_reports_what_was_obtained(machine: Machine) -> None:
    lines = machine.container.run("astbtd", "check", check=False).stdout.splitlines()

    (line,) = [line for line in lines if " debuginfod " in line]
    assert re.match(r"ok +debuginfod +debug files of \d+ builds? obtained; of those wanted, \d+ on no server", line)


@pytest.mark.usefixtures("build_id")
def test_the_unit_can_read_neither_the_store_nor_the_debug_files(machine: Machine) -> None:
    machine.container.write("/usr/local/bin/probe", PROBE, mode=0o755)
    drop_in = "/run/systemd/system/astbtd-symbols.service.d/probe.conf"
    machine.container.write(drop_in, "[Service]\nExecStart=\nExecStart=/usr/local/bin/probe\n")
    machine.container.run("systemctl", "daemon-reload")

    machine.container.run("systemctl", "start", "astbtd-symbols.service")

    machine.container.run("journalctl", "--sync")
    found = ("journalctl", "--unit=astbtd-symbols.service", "--identifier=probe", "--output=cat")
    output = machine.container.run(*found).stdout.split()
    machine.container.run("rm", drop_in)
    machine.container.run("systemctl", "daemon-reload")
    *lines, user = output
    assert lines == ["wanted", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]
    assert int(user) >= 61184, "a user that exists only while the unit runs"


@pytest.mark.usefixtures("build_id")
def test_the_units_sandbox_is_tight(machine: Machine) -> None:
    assert machine.service.exposure(UNITS[0]) <= HIGHEST_EXPOSURES[UNITS[0]]
    for unit in UNITS:
        verified = machine.container.run("systemd-analyze", "verify", "--man=no", unit)
        assert verified.stdout + verified.stderr == ""


@pytest.mark.usefixtures("build_id")
def test_too_little_disk_space_is_logged_once_and_shown_until_it_is_over(machine: Machine) -> None:
    container = machine.container
    container.run("systemctl", "stop", "astbtd-symbols.timer", "astbtd-symbols.path")
    wanted = container.run("cat", f"{CACHE}/wanted").stdout
    container.write(f"{CACHE}/wanted", f"{'ab' * 20}\n")

    machine.service.configure(TOO_LARGE)
    for _ in range(3):
        container.run("systemctl", "start", UNITS[0])
    shown = container.run("astbtd", "check", check=False).stdout
    machine.service.configure(SYMBOLS)
    for _ in range(2):
        container.run("systemctl", "start", UNITS[0])

    container.write(f"{CACHE}/wanted", wanted)
    container.run("systemctl", "start", "astbtd-symbols.timer", "astbtd-symbols.path")
    container.run("journalctl", "--sync")
    logged = container.run("journalctl", f"--unit={UNITS[0]}", "--output=cat").stdout
    assert "astbtd-symbols.service cannot work: a debug file of" in shown
    assert logged.count("hint: free some disk space") == 1
    assert logged.count("downloading debug files works again") == 1
    assert "Failed to start" not in logged
