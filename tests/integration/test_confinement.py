"""gdb is unprivileged and bounded, whatever it tries; fakes stand in for a gdb that was taken over or is broken."""

import json
import os
import pwd
import re
import select
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, ExtractionOutcome, Section
from tests.integration.conftest import extract, text
from tests.support.harness import PATIENCE, RunningDaemon, crash

_PROBE = """#!/bin/sh
# Tells what a gdb may do that was taken over, then is gdb.
{{
    cat /proc/self/status
    for file in {store}/crashes {store}/seen {secret} {configuration}; do
        if [ -d "$file" ]; then ls "$file"; else cat "$file"; fi >/dev/null 2>&1 && echo "can read $file"
    done
    for directory in {store} {readable} $(find . -type d); do
        touch "$directory/here" 2>/dev/null && echo "can write"
    done
    echo "shown: $(find . -type d | wc -l)"
    cat /proc/net/dev
    cat /proc/self/limits
    env
}}
exec gdb "$@"
"""


def program(directory: Path, script: str) -> str:
    """An executable script that stands in for gdb."""
    path = directory / "gdb-stand-in"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def with_gdb(configured: RunningDaemon, script: str, **limits: object) -> None:
    stand_in = program(configured.configuration.parent, script)
    configured.configure({"gdb": {"program": stand_in, **limits}})


@pytest.fixture
def probed(extracting: RunningDaemon, programs: Path, scratch: Path) -> str:
    """What a gdb sees that looks around."""
    secret = scratch / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    extracting.configuration.chmod(0o600)
    store = extracting.store.root
    extract(extracting, crash(programs, scratch, "abort"))
    with_gdb(
        extracting,
        _PROBE.format(store=store, secret=secret, readable=scratch, configuration=extracting.configuration),
    )
    recorded = extract(extracting, crash(programs, scratch, "segv"))
    assert recorded.diagnosis.crash_function == "do_forward"
    return text(extracting, recorded, Section.LOG)


def test_gdb_runs_as_its_own_user_without_any_capability(probed: str) -> None:
    status = dict(line.split(":\t", 1) for line in probed.splitlines() if ":\t" in line)
    user = pwd.getpwnam("astbtd-gdb")
    assert status["Uid"].split() == [str(user.pw_uid)] * 4
    assert status["Gid"].split() == [str(user.pw_gid)] * 4
    assert status["Groups"].split() == []
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_gdb_can_read_neither_the_store_nor_a_private_file_and_write_nothing(probed: str) -> None:
    assert "can read" not in probed
    assert "shown: 2\n" in probed  # where it works, and where the objects that it asks for are shown to it
    assert "can write" not in probed


def test_gdb_has_no_network_and_no_environment_of_ours(probed: str) -> None:
    interfaces = [line.split(":")[0].strip() for line in probed.partition("Inter-|")[2].splitlines()[2:]]
    assert interfaces[0] == "lo"
    assert "eth0" not in interfaces
    assert "HOME=/nonexistent" in probed
    assert "NOTIFY_SOCKET" not in probed


def test_gdb_is_limited_in_time_memory_and_output(probed: str) -> None:
    limits = dict(
        re.findall(r"^Max (cpu time|address space|file size|core file size|processes) +(\d+)", probed, re.MULTILINE)
    )
    assert limits == {
        "cpu time": "300",
        "address space": str(1 << 30),
        "file size": str(64 << 20),
        "core file size": "0",
        "processes": "32",
    }


def test_gdb_runs_at_idle_priority_and_dumps_no_core(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    with_gdb(extracting, "#!/bin/sh\nchrt -p $$; ionice -p $$; nice; ulimit -c\n")
    log = text(extracting, extract(extracting, crash(programs, scratch, "segv")), Section.LOG)
    assert log.splitlines()[0].endswith("SCHED_IDLE")
    assert log.splitlines()[-3:] == ["idle", "19", "0"]


def ends(pid: int) -> bool:
    """Whether a process ends; one that is killed may take a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    finally:
        os.close(descriptor)


def failed(extracting: RunningDaemon, programs: Path, scratch: Path) -> Crash:
    return extract(extracting, crash(programs, scratch, "segv"))


def test_a_gdb_that_hangs_is_ended_and_the_crash_recorded(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    with_gdb(extracting, "#!/bin/sh\nexec sleep 1000\n", time="1s")
    recorded = failed(extracting, programs, scratch)
    assert recorded.extraction.ended is ExtractionOutcome.TIMEOUT
    assert recorded.signal is not None
    assert recorded.signal.name == "SIGSEGV"
    assert recorded.diagnosis.verdict == "unusable"


def test_a_gdb_that_hangs_after_some_sections_leaves_them(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    hang = '#!/bin/sh\nexec gdb "$@" -ex "python import time; time.sleep(1000)"\n'
    with_gdb(extracting, hang, time="5s")
    recorded = failed(extracting, programs, scratch)
    assert recorded.extraction.ended is ExtractionOutcome.TIMEOUT
    assert recorded.diagnosis.crash_function == "do_forward"
    assert recorded.extraction.notes == ()


def test_a_gdb_that_floods_is_ended_at_the_limit(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    with_gdb(extracting, "#!/bin/sh\nexec yes\n", output="1M")
    recorded = failed(extracting, programs, scratch)
    assert recorded.extraction.ended in (
        ExtractionOutcome.TOO_MUCH_OUTPUT,
        ExtractionOutcome.KILLED,
        ExtractionOutcome.FAILED,
    )
    assert sum(recorded.extraction.sections.values()) <= 2 << 20


def test_a_gdb_that_dies_is_recorded(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    with_gdb(extracting, "#!/bin/sh\nkill -SEGV $$\n")
    assert failed(extracting, programs, scratch).extraction.ended is ExtractionOutcome.KILLED


def test_a_gdb_that_needs_more_memory_than_allowed_is_recorded(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    extracting.configure({"gdb": {"address_space": "64M"}})
    recorded = failed(extracting, programs, scratch)
    assert recorded.extraction.ended in (ExtractionOutcome.KILLED, ExtractionOutcome.FAILED)
    assert not (scratch / "core.gdb").exists()


def test_no_process_of_gdb_is_left_behind(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    with_gdb(extracting, "#!/bin/sh\nsleep 1000 & echo $! $$; sleep 1000\n", time="1s")
    log = text(extracting, failed(extracting, programs, scratch), Section.LOG)
    assert [ends(int(pid)) for pid in log.split()] == [True, True]


def test_facts_that_a_gdb_forges_are_not_believed_blindly(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    forged = {"gdb_version": 7, "asterisk": {"version": ["x"], "all_options": "A" * 100}}
    script = f"""#!/bin/sh
job=$(printenv ASTBTD_JOB)
facts=$(printf %s "$job" | sed 's/.*"facts": \\([0-9]*\\).*/\\1/')
eval "printf %s '{json.dumps(forged)}' >&$facts"
"""
    with_gdb(extracting, script)
    recorded = failed(extracting, programs, scratch)
    assert recorded.extraction.gdb_version is None
    assert recorded.asterisk.version is None
