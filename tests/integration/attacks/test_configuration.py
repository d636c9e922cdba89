"""Files that the asterisk user can write are parsed, never executed; the configuration must belong to root alone."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.errors import ExitCode
from tests.support.attackers import ASTERISK, crash_as_asterisk, run_as_asterisk, write_core
from tests.support.harness import TIMEOUT, RunningDaemon, crash
from tests.support.packed import FIELDS, report


def owned_by_asterisk(file: Path) -> None:
    shutil.chown(file, ASTERISK)


def writable_by_its_group(file: Path) -> None:
    file.chmod(0o664)


def in_a_directory_of_asterisk(file: Path) -> None:
    shutil.chown(file.parent, ASTERISK)


def below_a_directory_that_all_users_can_write(file: Path) -> None:
    file.parent.parent.chmod(0o777)


def a_link_to_a_directory_of_asterisk(file: Path) -> None:
    directory = file.parent / "asterisk"
    directory.mkdir()
    file.rename(directory / "real")
    shutil.chown(directory, ASTERISK)
    file.symlink_to(directory / "real")


UNSAFE = [
    owned_by_asterisk,
    writable_by_its_group,
    in_a_directory_of_asterisk,
    below_a_directory_that_all_users_can_write,
    a_link_to_a_directory_of_asterisk,
]


@pytest.fixture
def deep(running: RunningDaemon) -> RunningDaemon:
    """A daemon with a configuration two directories deep."""
    directory = running.configuration.parent / "etc" / "astbtd"
    directory.mkdir(parents=True)
    running.configuration = running.configuration.rename(directory / "astbtd.yaml")
    return running


@pytest.mark.parametrize("make", UNSAFE, ids=lambda make: make.__name__)
def test_the_daemon_does_not_start_with_a_configuration_that_others_can_write(
    deep: RunningDaemon, make: Callable[[Path], None]
) -> None:
    make(deep.configuration)
    deep.launch()

    assert deep.process.wait(TIMEOUT) == ExitCode.BAD_CONFIGURATION
    assert "by users other than root" in deep.output()


@pytest.mark.parametrize("make", UNSAFE, ids=lambda make: make.__name__)
def test_a_configuration_that_others_can_write_is_rejected_at_reload(
    deep: RunningDaemon, scratch: Path, spool: Path, make: Callable[[Path], None]
) -> None:
    deep.configure({"watch": {"directories": [str(spool)]}})
    deep.start()
    deep.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(scratch / "of-asterisk")}})
    make(deep.configuration)
    deep.signal(signal.SIGHUP)
    deep.wait_until(lambda: "old settings in force" in deep.manager.status, "the configuration to be rejected")

    write_core(spool / "core", 1)
    assert [crash.process.pid for crash in deep.wait_for_crashes(1)] == [1]


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['touch {}']", "store: !!python/name:os.system ''"])
def test_yaml_tags_create_no_objects(running: RunningDaemon, scratch: Path, text: str) -> None:
    running.configuration.write_text(text.format(scratch / "owned"))
    running.launch()

    assert running.process.wait(TIMEOUT) == ExitCode.BAD_CONFIGURATION
    assert not (scratch / "owned").exists()


HOSTILE = {
    "commands": "astrundir => $(touch {owned})`touch {owned}`;touch {owned}\n#exec touch {owned}\n",
    "inclusion": '#include "{secret}"\n#include <{secret}>\nastrundir => /proc/self/root\n',
    "a template": "[directories](!)\nastrundir => {secret}\n[directories](+)\nastrundir => ../../..\n",
    "junk": "astrundir => " + "A" * 70_000 + "\0\x1b[2J\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_configuration_of_asterisk_is_parsed_and_not_executed(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, text: str
) -> None:
    secret, owned = scratch / "secret", scratch / "owned"
    secret.write_text("[directories]\nastrundir => /sip-password\n")
    secret.chmod(0o600)
    written = spool.parent / "asterisk.conf"
    written.write_text("[directories]\n" + text.format(owned=owned, secret=secret))
    running.configure({"watch": {"directories": [str(spool)]}, "asterisk": {"configuration": str(written)}})
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.diagnosis.crash_function == "do_forward"
    assert not owned.exists()
    assert "sip-password" not in running.output() + running.manager.status


@pytest.mark.parametrize("kind", ["fifo", "link to a device", "socket"])
def test_a_special_file_in_place_of_the_configuration_of_asterisk_does_not_block(
    running: RunningDaemon, programs: Path, spool: Path, kind: str
) -> None:
    written = spool.parent / "asterisk.conf"
    make = {
        "fifo": ["mkfifo"],
        "link to a device": ["ln", "-s", "/dev/zero"],
        "socket": ["/usr/bin/python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"],
    }
    run_as_asterisk(*make[kind], written)
    running.configure({"watch": {"directories": [str(spool)]}, "asterisk": {"configuration": str(written)}})
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)


def test_fields_of_an_apport_report_are_not_executed(running: RunningDaemon, programs: Path, scratch: Path) -> None:
    collection, owned = scratch / "crash", scratch / "owned"
    collection.mkdir(mode=0o1777)
    core = crash(programs, scratch, "segv").read_bytes()
    command = f"__import__('os').system('touch {owned}')"
    evil = {**FIELDS, "ProcCmdline": command, "ExecutablePath": f"$(touch {owned})", "Package": f"!!python/{command}"}
    running.configure({"collectors": {"systemd_coredump": [], "apport": [str(collection)], "abrt": []}})
    running.start()
    made = scratch / "made"
    made.write_bytes(report(core, evil))
    os.utime(made, (2_000_000_000, 2_000_000_000))
    made.rename(collection / "_usr_sbin_asterisk.0.crash")
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.process.command_line == command
    assert not owned.exists()
