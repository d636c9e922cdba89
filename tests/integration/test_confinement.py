"""gdb is unprivileged and limited; scripts stand in for a gdb that is compromised or broken."""

import json
import os
import pwd
import re
import sys
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, ExtractionOutcome, Section
from tests.support.commands import extract, run_astbtd, section_text
from tests.support.extractions import configure_gdb, process_ends
from tests.support.fake_gdb import only_with_a_core
from tests.support.harness import RunningDaemon, crash

_PROBE = """#!/bin/sh
# Prints what a compromised gdb could do, then runs gdb.
{{
    cat /proc/self/status
    for file in {store}/crashes {store}/seen {secret} {configuration}; do
        if [ -d "$file" ]; then ls "$file"; else cat "$file"; fi >/dev/null 2>&1 && echo "can read $file"
    done
    for directory in {store} {readable} $(find . -type d); do
        touch "$directory/here" 2>/dev/null && echo "can write"
    done
    echo "directories: $(find . -type d | wc -l)"
    cat /proc/net/dev
    cat /proc/self/limits
    env
}}
exec gdb "$@"
"""


@pytest.fixture
def probed(extracting: RunningDaemon, programs: Path, scratch: Path) -> str:
    """The output of a gdb that examines its environment."""
    secret = scratch / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    extracting.configuration.chmod(0o600)
    store = extracting.store.root
    extract(extracting, crash(programs, scratch, "abort"))
    configure_gdb(
        extracting,
        _PROBE.format(store=store, secret=secret, readable=scratch, configuration=extracting.configuration),
    )
    recorded = extract(extracting, crash(programs, scratch, "segv"))
    assert recorded.diagnosis.crash_function == "do_forward"
    return section_text(extracting, recorded, Section.LOG)


def test_gdb_runs_as_a_dedicated_user_without_capabilities(probed: str) -> None:
    status = dict(line.split(":\t", 1) for line in probed.splitlines() if ":\t" in line)
    user = pwd.getpwnam("astbtd-gdb")
    assert status["Uid"].split() == [str(user.pw_uid)] * 4
    assert status["Gid"].split() == [str(user.pw_gid)] * 4
    assert status["Groups"].split() == []
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_gdb_cannot_read_private_files_and_cannot_write(probed: str, programs: Path) -> None:
    assert "can read" not in probed
    # Its working directory, the one with links to objects, and those of the copy of the executable.
    directories = 2 + len((programs / "asterisk").relative_to("/").parent.parts)
    assert f"directories: {directories}\n" in probed
    assert "can write" not in probed


def test_gdb_has_no_network_and_a_clean_environment(probed: str) -> None:
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
    configure_gdb(extracting, only_with_a_core("#!/bin/sh\nchrt -p $$; ionice -p $$; nice; ulimit -c\n"))
    log = section_text(extracting, extract(extracting, crash(programs, scratch, "segv")), Section.LOG)
    assert log.splitlines()[0].endswith("SCHED_IDLE")
    assert log.splitlines()[-3:] == ["idle", "19", "0"]


def extract_crash(extracting: RunningDaemon, programs: Path, scratch: Path) -> Crash:
    return extract(extracting, crash(programs, scratch, "segv"))


def test_a_gdb_that_hangs_is_killed_and_the_crash_recorded(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    configure_gdb(extracting, "#!/bin/sh\nexec sleep 1000\n", time="1s")
    recorded = extract_crash(extracting, programs, scratch)
    assert recorded.extraction.ended is ExtractionOutcome.TIMEOUT
    assert recorded.signal is not None
    assert recorded.signal.name == "SIGSEGV"
    assert recorded.diagnosis.verdict == "unusable"


def test_sections_written_before_a_hang_are_kept(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    hang = '#!/bin/sh\nexec gdb "$@" -ex "python import time; time.sleep(1000)"\n'
    configure_gdb(extracting, hang, time="5s")
    recorded = extract_crash(extracting, programs, scratch)
    assert recorded.extraction.ended is ExtractionOutcome.TIMEOUT
    assert recorded.diagnosis.crash_function == "do_forward"
    assert recorded.extraction.notes == ()


def test_a_gdb_with_too_much_output_is_killed_at_the_limit(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    configure_gdb(extracting, only_with_a_core("#!/bin/sh\nexec yes\n"), output="1M")
    recorded = extract_crash(extracting, programs, scratch)
    assert recorded.extraction.ended in (
        ExtractionOutcome.TOO_MUCH_OUTPUT,
        ExtractionOutcome.KILLED,
        ExtractionOutcome.FAILED,
    )
    assert sum(recorded.extraction.sections.values()) <= 2 << 20


def test_a_gdb_that_is_killed_is_recorded(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    configure_gdb(extracting, only_with_a_core("#!/bin/sh\nkill -SEGV $$\n"))
    assert extract_crash(extracting, programs, scratch).extraction.ended is ExtractionOutcome.KILLED


def test_a_gdb_that_needs_more_memory_than_allowed_cannot_start(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    extracting.configure({"gdb": {"address_space": "64M"}})

    done = run_astbtd(extracting, "extract", str(crash(programs, scratch, "segv")))

    assert done.returncode == 1
    assert "gdb cannot start: " in done.stderr
    assert "gdb.address_space" in done.stderr
    assert (scratch / "core").exists()
    assert not (scratch / "core.gdb").exists()


def test_no_process_of_gdb_remains(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    configure_gdb(extracting, "#!/bin/sh\nsleep 1000 & echo $! $$; sleep 1000\n", time="1s")
    log = section_text(extracting, extract_crash(extracting, programs, scratch), Section.LOG)
    assert [process_ends(int(pid)) for pid in log.split()] == [True, True]


def test_facts_with_invalid_types_are_ignored(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    forged = {"gdb_version": 7, "asterisk": {"version": ["x"], "all_options": "A" * 100}}
    script = f"""#!{os.path.realpath(sys.executable)} -IS
import json, os
facts = json.loads(os.environ["ASTBTD_JOB"])["sections"]["facts"]
os.write(facts, {json.dumps(forged).encode()!r})
"""
    configure_gdb(extracting, script)
    recorded = extract_crash(extracting, programs, scratch)
    assert recorded.extraction.gdb_version is None
    assert recorded.asterisk.version is None
