"""What Asterisk's user can write is parsed; what root follows only root can write; fields of data are data."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.errors import ExitCode
from tests.integration.attacks.conftest import ASTERISK, as_asterisk, crash_as_asterisk, write_core
from tests.support.harness import PATIENCE, RunningDaemon, crash
from tests.support.packed import FIELDS, report


def belongs_to_asterisk(file: Path) -> None:
    shutil.chown(file, ASTERISK)


def is_writable_by_its_group(file: Path) -> None:
    file.chmod(0o664)


def is_in_a_directory_of_asterisks(file: Path) -> None:
    shutil.chown(file.parent, ASTERISK)


def is_below_a_directory_that_anybody_can_write(file: Path) -> None:
    file.parent.parent.chmod(0o777)


def is_a_link_out_of_a_directory_of_asterisks(file: Path) -> None:
    place = file.parent / "asterisks"
    place.mkdir()
    file.rename(place / "real")
    shutil.chown(place, ASTERISK)
    file.symlink_to(place / "real")


UNSAFE = [
    belongs_to_asterisk,
    is_writable_by_its_group,
    is_in_a_directory_of_asterisks,
    is_below_a_directory_that_anybody_can_write,
    is_a_link_out_of_a_directory_of_asterisks,
]


@pytest.fixture
def deep(running: RunningDaemon) -> RunningDaemon:
    """A daemon whose configuration is in a directory below another one."""
    place = running.configuration.parent / "etc" / "astbtd"
    place.mkdir(parents=True)
    running.configuration = running.configuration.rename(place / "astbtd.yaml")
    return running


@pytest.mark.parametrize("make", UNSAFE, ids=lambda make: make.__name__)
def test_a_configuration_that_others_can_write_starts_nothing(
    deep: RunningDaemon, make: Callable[[Path], None]
) -> None:
    make(deep.configuration)
    deep.launch()

    assert deep.process.wait(PATIENCE) == ExitCode.BAD_CONFIGURATION
    assert "by others than root" in deep.output()


@pytest.mark.parametrize("make", UNSAFE, ids=lambda make: make.__name__)
def test_a_configuration_that_others_can_write_by_now_is_not_read_again(
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
def test_a_configuration_makes_no_objects(running: RunningDaemon, scratch: Path, text: str) -> None:
    running.configuration.write_text(text.format(scratch / "owned"))
    running.launch()

    assert running.process.wait(PATIENCE) == ExitCode.BAD_CONFIGURATION
    assert not (scratch / "owned").exists()


HOSTILE = {
    "commands": "astrundir => $(touch {owned})`touch {owned}`;touch {owned}\n#exec touch {owned}\n",
    "inclusion": '#include "{secret}"\n#include <{secret}>\nastrundir => /proc/self/root\n',
    "a template": "[directories](!)\nastrundir => {secret}\n[directories](+)\nastrundir => ../../..\n",
    "junk": "astrundir => " + "A" * 70_000 + "\0\x1b[2J\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_configuration_of_asterisks_is_only_parsed(
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
def test_what_stands_in_place_of_a_configuration_of_asterisks_holds_nothing_up(
    running: RunningDaemon, programs: Path, spool: Path, kind: str
) -> None:
    written = spool.parent / "asterisk.conf"
    make = {
        "fifo": ["mkfifo"],
        "link to a device": ["ln", "-s", "/dev/zero"],
        "socket": ["/usr/bin/python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"],
    }
    as_asterisk(*make[kind], written)
    running.configure({"watch": {"directories": [str(spool)]}, "asterisk": {"configuration": str(written)}})
    running.start()
    crash_as_asterisk(programs / "asterisk", spool, "segv")
    running.wait_for_crashes(1)


def test_fields_of_a_report_are_text(running: RunningDaemon, programs: Path, scratch: Path) -> None:
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
