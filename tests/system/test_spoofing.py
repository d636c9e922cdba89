"""Any user can write to the journal. Such entries are not accepted as metadata of a collector."""

import tempfile
from pathlib import Path

from astbtd.sources.collectors.systemd_coredump import MESSAGE_ID
from tests.support.builders import DeadProcess
from tests.support.containers.container import wait_until
from tests.support.containers.machine import booted

PID, TIMESTAMP = 4242, 1_763_812_800_000_000
NAME = f"core.asterisk.110.{'0f' * 16}.{PID}.{TIMESTAMP}"

FORGED = f"""MESSAGE_ID={MESSAGE_ID}
MESSAGE=Process {PID} (asterisk) of user 110 dumped core.
COREDUMP_PID={PID}
COREDUMP_TIMESTAMP={TIMESTAMP}
COREDUMP_FILENAME=/var/lib/systemd/coredump/{NAME}
COREDUMP_CMDLINE=forged
COREDUMP_CWD=/forged
COREDUMP_CONTAINER_CMDLINE=forged
SYSLOG_IDENTIFIER=systemd-coredump
"""


def test_an_entry_that_another_user_logs_as_systemd_coredump_is_ignored() -> None:
    with booted() as machine, tempfile.TemporaryDirectory() as scratch:
        run = machine.container.run
        machine.container.write("/srv/forged", FORGED)
        run("runuser", "--user=nobody", "--", "logger", "--journald=/srv/forged")
        run("journalctl", "--sync")
        assert NAME in run("journalctl", f"COREDUMP_PID={PID}", "-o", "json").stdout

        core = Path(scratch) / "core"
        core.write_bytes(DeadProcess(pid=PID).core())
        machine.container.copy_in(core, f"/var/lib/systemd/coredump/.{NAME}")
        run("mv", f"/var/lib/systemd/coredump/.{NAME}", f"/var/lib/systemd/coredump/{NAME}")

        wait_until(lambda: bool(machine.service.listed()), "the core is collected", seconds=60)
        (recorded,) = machine.service.listed()
        assert recorded["core"]["source"] == "systemd-coredump"
        assert recorded["process"]["command_line"] == "asterisk -g -f"
        assert recorded["process"]["cwd"] is None
        assert recorded["process"]["container"] is None
