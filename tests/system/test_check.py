"""`astbtd check` on a machine with Debian's Asterisk: it finds real problems, and its remedies remove them."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.announce.journal import Event
from tests.support import another_build
from tests.support.containers import collecting
from tests.support.containers.asterisk import UNIT, Asterisk
from tests.support.containers.container import Container, wait_until
from tests.support.containers.service import Service
from tests.support.kernel import core_pattern, sends_cores_to_sockets

CHECK_FAILED = Event.CHECK_FAILED.value
PROGRAM = "/usr/sbin/asterisk"
MODULE = "/usr/lib/x86_64-linux-gnu/asterisk/modules/app_dial.so"
WITHOUT_G = f"{PROGRAM} -f -p -U asterisk -G asterisk"
AS_A_USER_FROM_THE_START = f"User=asterisk\nExecStart=\nExecStart={PROGRAM} -g -f\nRuntimeDirectory=asterisk\n"


@dataclass(frozen=True)
class Line:
    """One check of the answer."""

    name: str
    state: str
    found: str
    remedy: str | None


@dataclass(frozen=True)
class Answer:
    """The output and the exit code of `astbtd check --json`."""

    code: int
    usable: bool | None
    lines: dict[str, Line]

    @property
    def failed(self) -> set[str]:
        return {line.name for line in self.lines.values() if line.state == "failed"}

    def remedy(self, name: str) -> str:
        """Return the remedy of a check that must have failed."""
        line = self.lines[name]
        assert (line.state, self.usable, self.code) == ("failed", False, 4), line
        assert line.remedy
        return line.remedy

    def passes(self, name: str) -> bool:
        """Return whether a check is ok and no other one fails."""
        return self.lines[name].state == "ok" and self.usable is True and self.code == 0


@dataclass(frozen=True)
class Machine:
    """A machine with Asterisk and astbtd, both running as services."""

    container: Container
    asterisk: Asterisk
    service: Service

    def check(self, *user: str) -> Answer:
        """Run the check as root, or through a command that changes the user."""
        done = self.container.run(*user, "astbtd", "check", "--json", check=False)
        document = json.loads(done.stdout)
        return Answer(done.returncode, document["usable"], {each["name"]: Line(**each) for each in document["checks"]})

    def set_unit(self, unit: str, settings: str) -> None:
        """Do what `systemctl edit` and a restart do."""
        override = f"/etc/systemd/system/{unit}.d/override.conf"
        before = self.container.run("cat", override, check=False).stdout
        self.container.write(override, f"{before}[Service]\n{settings}\n")
        self.container.run("systemctl", "daemon-reload")
        self.container.run("systemctl", "reset-failed", unit)  # ignore the start limit
        self.container.run("systemctl", "restart", unit)

    def follow(self, remedy: str) -> None:
        """Apply a remedy: run its commands and change units. Kernel settings are those of this machine."""
        for step in re.split(r" && |; ", remedy):
            if edit := re.fullmatch(r"systemctl edit (\S+) and add \[Service\] (.*), then: systemctl restart \1", step):
                self.set_unit(edit[1], edit[2].replace(" and ", "\n"))
            elif step.startswith("sysctl "):
                subprocess.run(shlex.split(step), check=True, capture_output=True)
            else:
                self.container.run("sh", "-c", step)


@contextmanager
def booted() -> Iterator[Machine]:
    """Boot a new machine for the duration of a block."""
    with Container.booted() as container:
        machine = Machine(container, Asterisk(container), Service(container))
        machine.service.install()
        machine.service.start()
        yield machine


@pytest.fixture(scope="module")
def stock() -> Iterator[Machine]:
    """A machine as Debian's packages and `make install` leave it, for tests that only read."""
    with booted() as machine:
        yield machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine for one test that breaks something."""
    with booted() as machine:
        assert machine.check().usable
        yield machine


def test_the_facts_about_a_stock_asterisk_are_correct(stock: Machine) -> None:
    answer = stock.check()

    assert (answer.code, answer.usable) == (0, True)
    found = {name: line.found for name, line in answer.lines.items() if line.state == "ok"}
    assert found["asterisk"] == f"pid {stock.asterisk.main_pid()}, started by a systemd unit ({UNIT}): {PROGRAM}"
    assert found["dumpcore"] == "-g is given"
    assert found["core-limit"] == "unlimited"
    assert found["core-pattern"].startswith("'core': ")
    assert found["core-directory"] == "/var/lib/asterisk"
    assert found["gdb"] == f"gdb {gdb_version(stock)}, with Python"
    assert found["up-to-date"] == "the running files are those on disk"
    assert {"unit-core-limit", "dumpable", "blocked-core", "core-space", "store-space", "readable"} <= found.keys()


def test_a_stock_asterisk_is_reported_as_optimised_and_stripped_and_without_lock_tracking(stock: Machine) -> None:
    lines = stock.check().lines

    options = stock.asterisk.console("core show settings").partition("All Build Options:")[2].splitlines()[0]
    for name in ("dont-optimize", "better-backtraces", "debug-threads"):
        option = name.upper().replace("-", "_")
        assert option not in options
        assert (lines[name].state, lines[name].found.split(":")[0]) == ("warning", f"built without {option}")
        rebuilt = f"menuselect/menuselect --enable {option} menuselect.makeopts && make && make install"
        assert str(lines[name].remedy).endswith(f"{rebuilt} && systemctl restart {UNIT}")
    assert "apt install binutils-dev && " in str(lines["better-backtraces"].remedy)
    assert ".symtab" not in stock.container.run("readelf", "--sections", "--wide", PROGRAM).stdout
    assert lines["symbols"].state == "warning"
    assert lines["symbols"].found.startswith(f"stripped, and no separate symbols are installed: {PROGRAM} and ")
    assert str(lines["symbols"].remedy).startswith("apt install asterisk-dbgsym asterisk-modules-dbgsym")


def test_for_a_plain_user_checks_that_need_root_are_unknown(stock: Machine) -> None:
    answer = stock.check("runuser", "--user=nobody", "--")

    assert (answer.code, answer.usable) == (0, None)
    unknown = {line.name: line for line in answer.lines.values() if line.state == "unknown"}
    assert unknown.keys() == {"core-directory", "blocked-core", "core-space", "readable", "up-to-date"}
    assert {line.remedy for line in unknown.values()} == {"run it as root: sudo astbtd check"}
    assert answer.lines["core-limit"] == stock.check().lines["core-limit"]
    assert answer.lines["dont-optimize"] == stock.check().lines["dont-optimize"]


def test_without_a_running_asterisk_some_checks_are_unknown(machine: Machine) -> None:
    running = machine.check().lines

    machine.container.run("systemctl", "stop", UNIT)
    answer = machine.check()

    assert (answer.code, answer.usable) == (0, None)
    assert answer.lines["asterisk"].remedy == f"systemctl start {UNIT}"
    unknown = {line.name for line in answer.lines.values() if line.state == "unknown"}
    assert unknown == {
        *("asterisk", "core-limit", "dumpable", "core-directory", "blocked-core", "core-space", "up-to-date")
    }
    same = ("dumpcore", "unit-core-limit", "core-pattern", "gdb", "dont-optimize", "debug-threads", "journal")
    assert {name: answer.lines[name] for name in same} == {name: running[name] for name in same}
    machine.follow(str(answer.lines["asterisk"].remedy))
    assert machine.check().usable


def test_an_asterisk_without_g_leaves_no_core(machine: Machine) -> None:
    machine.set_unit(UNIT, f"ExecStart=\nExecStart={WITHOUT_G}")
    answer = machine.check()

    assert answer.failed >= {"dumpcore", "dumpable"}
    setting = f"set dumpcore = yes under [options] in /etc/asterisk/asterisk.conf, then: systemctl restart {UNIT}"
    assert answer.remedy("dumpcore") == answer.remedy("dumpable") == setting
    machine.container.run("sed", "-i", "s/^;dumpcore = yes/dumpcore = yes/", "/etc/asterisk/asterisk.conf")
    assert machine.check().lines["dumpcore"].found == "dumpcore = yes was set after Asterisk started"
    machine.follow(machine.check().remedy("dumpcore"))
    assert machine.check().passes("dumpcore")
    assert machine.check().passes("dumpable")


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_that_forbids_cores(machine: Machine, limit: int) -> None:
    as_asterisk = ("runuser", "--user=asterisk", "--")  # root would need CAP_SYS_RESOURCE, which a container may lack
    machine.container.run(*as_asterisk, "prlimit", f"--pid={machine.asterisk.main_pid()}", f"--core={limit}:")
    answer = machine.check()

    assert answer.lines["core-limit"].found == f"RLIMIT_CORE is {limit}: no core is written"
    at_once, _, for_good = answer.remedy("core-limit").partition("; permanently: ")
    machine.container.run(*as_asterisk, "sh", "-c", at_once)
    assert machine.check().passes("core-limit")
    machine.follow(for_good)
    assert machine.check().passes("core-limit")


def test_a_unit_that_forbids_cores(machine: Machine) -> None:
    machine.set_unit(UNIT, f"{AS_A_USER_FROM_THE_START}LimitCORE=0")
    answer = machine.check()

    assert answer.failed == {"core-limit", "unit-core-limit"}
    machine.follow(answer.remedy("unit-core-limit"))
    assert machine.check().passes("unit-core-limit")
    assert machine.check().passes("core-limit")


def test_a_working_directory_that_asterisk_cannot_write_to(machine: Machine) -> None:
    machine.container.run("mkdir", "/srv/closed")
    machine.asterisk.start_in("/srv/closed")
    answer = machine.check()

    assert answer.lines["core-directory"].found.startswith("/srv/closed is not writable by uid ")
    machine.follow(answer.remedy("core-directory"))
    assert machine.check().passes("core-directory")


def test_a_working_directory_that_is_read_only_for_asterisk(machine: Machine) -> None:
    machine.set_unit(UNIT, "ReadOnlyPaths=/srv\nWorkingDirectory=/srv")
    answer = machine.check()

    assert answer.lines["core-directory"].found == "/srv is read-only for Asterisk"
    machine.follow(answer.remedy("core-directory"))
    assert machine.check().passes("core-directory")


def test_a_private_tmp_loses_cores_if_astbtd_does_not_run(machine: Machine) -> None:
    machine.set_unit(UNIT, "PrivateTmp=yes\nWorkingDirectory=/tmp")
    line = machine.check().lines["core-directory"]
    assert (line.state, machine.check().usable) == ("warning", True)
    assert line.found.startswith("/tmp is private to Asterisk and removed when its service stops: ")

    machine.container.run("systemctl", "stop", "astbtd")
    answer = machine.check()

    assert answer.lines["core-directory"].found.endswith("and astbtd.service is not running to save the core before")
    machine.follow(answer.remedy("core-directory"))
    assert machine.check().passes("core-directory")


def test_a_working_directory_that_is_private_to_asterisk(machine: Machine) -> None:
    machine.set_unit(UNIT, "TemporaryFileSystem=/srv:mode=777\nWorkingDirectory=/srv")
    answer = machine.check()

    assert answer.lines["core-directory"].found == "/srv is private to Asterisk"
    machine.follow(answer.remedy("core-directory"))
    assert machine.check().passes("core-directory")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("", "does not exist"),
        ("TemporaryFileSystem=/srv", "is hidden from Asterisk"),
        ("BindPaths=/root:/srv/cores", "is private to Asterisk"),
        ("ReadOnlyPaths=/srv", "is read-only for Asterisk"),
        ("ProtectSystem=strict\nReadWritePaths=/run /var/lib /var/log /var/spool", "is read-only for Asterisk"),
        (" ", "is not writable by uid "),
    ],
)
def test_a_core_pattern_that_leads_where_asterisk_cannot_write(machine: Machine, settings: str, problem: str) -> None:
    if settings:
        machine.container.run("mkdir", "/srv/cores")
    machine.set_unit(UNIT, settings)
    with core_pattern("/srv/cores/core.%p"):
        answer = machine.check()

        assert answer.failed == {"core-directory"}
        assert answer.lines["core-directory"].found.startswith(f"/srv/cores {problem}")
        machine.follow(answer.remedy("core-directory"))
        assert machine.check().passes("core-directory")


def test_a_directory_in_the_place_of_the_core(machine: Machine) -> None:
    machine.container.run("mkdir", "/var/lib/asterisk/core")
    answer = machine.check()

    assert answer.failed == {"blocked-core"}
    machine.follow(answer.remedy("blocked-core"))
    assert machine.check().passes("blocked-core")


def test_a_core_of_another_user_in_a_sticky_directory(machine: Machine) -> None:
    machine.container.run("install", "-d", "-m", "1777", "/srv/shared")
    machine.asterisk.start_in("/srv/shared")
    machine.container.run("install", "-o", "nobody", "/dev/null", "/srv/shared/core")
    answer = machine.check()

    assert "/srv/shared/core belongs to uid 65534 in a sticky directory" in answer.lines["blocked-core"].found
    machine.follow(answer.remedy("blocked-core"))
    assert machine.check().passes("blocked-core")


def test_a_disk_that_is_too_full_for_a_core(machine: Machine) -> None:
    machine.container.run("mkdir", "/srv/small")
    machine.container.run("mount", "-t", "tmpfs", "-o", "size=4M,mode=777", "tmpfs", "/srv/small")
    machine.asterisk.start_in("/srv/small")
    answer = machine.check()

    assert "it would be truncated" in answer.lines["core-space"].found
    missing = re.fullmatch(r"free (\d+)M there: df -h /srv/small", answer.remedy("core-space"))
    assert missing
    machine.container.run("mount", "-o", f"remount,size={int(missing[1]) + 8}M", "/srv/small")
    assert machine.check().passes("core-space")


@pytest.mark.parametrize("path", [PROGRAM, MODULE])
def test_a_program_or_module_of_another_build_on_disk(machine: Machine, path: str) -> None:
    put_another_build_in_place(machine.container, path)
    answer = machine.check()

    assert answer.lines["up-to-date"].found.startswith(f"replaced on disk since Asterisk started: {path}")
    machine.follow(answer.remedy("up-to-date"))
    assert machine.check().passes("up-to-date")


def test_the_same_build_installed_again_is_not_reported(machine: Machine) -> None:
    machine.container.run("sh", "-c", f"cp {PROGRAM} {PROGRAM}.new && mv {PROGRAM}.new {PROGRAM}")

    assert machine.check().passes("up-to-date")


@pytest.mark.parametrize("pattern", ["|/bin/false %p", "@/run/nobody.socket", "@@/run/nobody.socket", "\n"])
def test_a_core_pattern_that_leads_to_an_unwatched_place(machine: Machine, pattern: str) -> None:
    if pattern.startswith("@") and not sends_cores_to_sockets():
        pytest.skip("the kernel sends no cores to sockets, or not in this mount namespace")
    with core_pattern(pattern):
        answer = machine.check()

        assert answer.failed == {"core-pattern"}
        machine.follow(answer.remedy("core-pattern"))
        assert machine.check().passes("core-pattern")
    for_good = machine.container.run("cat", "/etc/sysctl.d/60-core-pattern.conf").stdout
    assert for_good == "kernel.core_pattern=core\n"


def test_a_core_pattern_that_names_a_program_which_is_not_there(machine: Machine) -> None:
    machine.service.configure("watch: {directories: [/srv]}\n")
    with core_pattern("|/usr/bin/keep-core %p"):
        answer = machine.check()

        assert "names a program that cannot be executed" in answer.lines["core-pattern"].found
        machine.follow(answer.remedy("core-pattern"))
        assert machine.check().passes("core-pattern")


def collected_core(pid: int, machine: Machine) -> str:
    """Wait until systemd-coredump has processed its first core. Return the file of the core of a process."""
    counted = ("systemctl", "show", "--property=NAccepted,NConnections", "systemd-coredump.socket")
    done = {"NAccepted=1", "NConnections=0"}
    wait_until(lambda: set(machine.container.run(*counted).stdout.split()) == done, "systemd-coredump is done")
    return machine.container.run("find", collecting.COLLECTION, "-name", f"core.*.{pid}.*").stdout


@pytest.mark.parametrize("setting", ["Storage=none", "Storage=journal", "ExternalSizeMax=0", "ExternalSizeMax=1M"])
def test_a_systemd_coredump_that_stores_no_core(machine: Machine, setting: str) -> None:
    collecting.configure(machine.container, setting)
    with collecting.collected_by_systemd(machine.container):
        answer = machine.check()

        assert answer.failed == {"systemd-coredump"}
        assert setting.partition("=")[0] in answer.lines["systemd-coredump"].found
        assert not collected_core(machine.asterisk.crash_by_signal(), machine)
        machine.follow(answer.remedy("systemd-coredump"))
        assert machine.check().passes("systemd-coredump")
        assert machine.service.collected(machine.asterisk.crash_by_signal())["core"]["source"] == "systemd-coredump"


def test_a_systemd_coredump_that_stores_the_core_but_makes_no_backtrace(machine: Machine) -> None:
    collecting.configure(machine.container, "ProcessSizeMax=1M")
    with collecting.collected_by_systemd(machine.container):
        line = machine.check().lines["systemd-coredump"]

        assert (line.state, machine.check().usable) == ("warning", True)
        assert machine.service.collected(machine.asterisk.crash_by_signal())["core"]["truncated"] is False
        machine.follow(str(line.remedy))
        assert machine.check().passes("systemd-coredump")


def test_a_gdb_that_is_gone(machine: Machine) -> None:
    machine.container.run("mv", "/usr/bin/gdb", "/usr/bin/gdb.gone")

    assert machine.check().remedy("gdb") == "apt install gdb"
    machine.container.run("mv", "/usr/bin/gdb.gone", "/usr/bin/gdb")
    assert machine.check().passes("gdb")


def test_a_user_of_gdb_that_is_gone(machine: Machine) -> None:
    machine.container.run("userdel", "--force", "astbtd-gdb")

    assert machine.check().remedy("gdb").startswith("create it: systemd-sysusers ")
    machine.container.run("systemd-sysusers")
    assert machine.check().passes("gdb")


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("ProtectHome=yes", "/home/pbx"),
        ("PrivateTmp=yes", "/var/tmp/pbx"),
        ("InaccessiblePaths=/srv", "/srv/pbx"),
        ("TemporaryFileSystem=/srv", "/srv/pbx"),
    ],
)
def test_a_sandbox_that_hides_the_working_directory_of_asterisk(machine: Machine, setting: str, place: str) -> None:
    machine.container.run("install", "-d", "-o", "asterisk", place)
    machine.asterisk.start_in(place)
    machine.set_unit("astbtd.service", setting)
    answer = machine.check()

    assert answer.lines["astbtd-unit"].found == f"{setting} hides {place} from astbtd.service"
    machine.follow(answer.remedy("astbtd-unit"))
    assert machine.check().lines["astbtd-unit"].state != "failed"
    assert machine.check().usable


def test_the_remedies_of_warnings_remove_them(machine: Machine) -> None:
    machine.container.run("systemctl", "stop", "astbtd")
    machine.container.run("chmod", "o-r", MODULE)
    machine.container.write("/etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=volatile\n")
    with core_pattern("core", uses_pid=False):
        lines = machine.check().lines

        for name in ("core-name", "core-uses-pid", "astbtd-unit", "readable", "journal"):
            assert lines[name].state == "warning"
            machine.follow(str(lines[name].remedy))
            assert machine.check().lines[name].state == "ok"


def test_a_journal_that_has_no_directory_to_be_kept_in(machine: Machine) -> None:
    machine.container.run("rm", "-r", "/var/log/journal")
    line = machine.check().lines["journal"]

    assert line.state == "warning"
    machine.follow(str(line.remedy))
    assert machine.check().lines["journal"].state == "ok"


def test_a_store_that_has_no_room_for_a_core(machine: Machine) -> None:
    machine.container.run("systemctl", "stop", "astbtd")
    machine.container.run("mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", "/var/lib/astbtd")
    line = machine.check().lines["store-space"]

    missing = re.fullmatch(r"free (\d+)M there: df -h /var/lib/astbtd", str(line.remedy))
    assert missing
    machine.container.run("mount", "-o", f"remount,size={2 * (int(missing[1]) + 16)}M", "/var/lib/astbtd")
    assert machine.check().lines["store-space"].state == "ok"


def test_a_limit_on_kept_cores_that_is_below_one_core(machine: Machine) -> None:
    machine.service.configure("retention: {cores: {size: 1M}}\n")
    line = machine.check().lines["store-space"]

    larger = re.fullmatch(r"raise retention\.cores\.size in /etc/astbtd\.yaml to (\w+)", str(line.remedy))
    assert larger
    machine.service.configure(f"retention: {{cores: {{size: {larger[1]}}}}}\n")
    assert machine.check().lines["store-space"].state == "ok"


def test_the_daemon_announces_a_failed_check_once_and_shows_it_until_it_is_ok(machine: Machine) -> None:
    machine.set_unit(UNIT, f"ExecStart=\nExecStart={WITHOUT_G}")
    wait_until(lambda: "(dumpcore, " in machine.service.property("StatusText"), "the status shows the failed check")
    announced = {entry["ASTBTD_CHECK"] for entry in machine.service.entries(MESSAGE_ID=CHECK_FAILED)}
    assert announced == machine.check().failed

    checks = len(machine.service.entries())
    machine.container.run("systemctl", "restart", UNIT)
    machine.service.reload()
    assert len(machine.service.entries()) == checks + 1  # the answer to the reload

    machine.container.run("sed", "-i", "s/^;dumpcore = yes/dumpcore = yes/", "/etc/asterisk/asterisk.conf")
    machine.container.run("systemctl", "restart", UNIT)
    wait_until(lambda: "dumpcore" not in machine.service.property("StatusText"), "the status is clear")
    assert len(machine.service.entries(MESSAGE_ID=CHECK_FAILED)) == len(announced)


def gdb_version(machine: Machine) -> str:
    return machine.container.run("gdb", "--version").stdout.splitlines()[0].rpartition(" ")[2]


def put_another_build_in_place(container: Container, path: str) -> None:
    """As an upgrade does it: a new file of another build, renamed over the old one."""
    container.copy_in(Path(another_build.__file__), "/root/another_build.py")
    container.run("python3", "/root/another_build.py", path)
