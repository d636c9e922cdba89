"""With ProtectProc=invisible, as in the units, the daemon sees all processes and gdb sees only its own."""

import json
from pathlib import Path

from astbtd.model.crash import Section
from tests.support.commands import section_text
from tests.support.fake_gdb import use_gdb
from tests.support.harness import RunningDaemon, crash, running_asterisk

_CAPABILITIES = "-all,+chown,+fowner,+dac_override,+lease,+sys_ptrace,+setuid,+setgid,+setpcap,+kill"
_HIDDEN = (
    *("unshare", "--mount", "sh", "-c"),
    f'mount -t proc -o hidepid=invisible proc /proc && exec setpriv --bounding-set={_CAPABILITIES} -- "$@"',
    "sh",
)
_LISTS_PROCESSES = """#!/usr/bin/python3
import json, os, sys
if "show version" in sys.argv:
    os.execvp("gdb", ["gdb", *sys.argv[1:]])
print(json.dumps([os.stat(f"/proc/{name}").st_uid for name in os.listdir("/proc") if name.isdigit()]))
"""


def test_the_daemon_finds_the_directory_of_asterisk_and_gdb_sees_no_other_process(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    use_gdb(running, spool, _LISTS_PROCESSES)
    running.configure({"gdb": {"program": str(running.configuration.with_name("gdb"))}})
    running.wrapper = _HIDDEN
    work = scratch / "work"
    work.mkdir()
    work.chmod(0o777)
    with running_asterisk(programs, work, user="nobody"):
        running.start()
        crash(programs, work, "segv", user="nobody")

        (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.path == str(work / "core")
    (seen,) = {tuple(json.loads(line)) for line in section_text(running, recorded, Section.LOG).splitlines()[:1]}
    assert 0 not in seen
