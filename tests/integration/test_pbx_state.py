"""The state of the PBX at the crash: info.txt and locks.txt list what tests/programs/pbx has created."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astbtd.elf.core_notes import read_facts
from astbtd.extraction import gdb_runner, script_archive
from astbtd.extraction.extracted_core import opened_before
from astbtd.extraction.sandbox_command import find_sandbox_user
from astbtd.model.crash import Crash, Extraction, ExtractionOutcome, Section, Symbols
from astbtd.settings import GdbSettings
from tests.support.commands import build, extract, section_text
from tests.support.harness import RunningDaemon, crash, scratch_directory

TASKPROCESSORS = [
    "Processor  Processed  In Queue  Max Depth  Low water  High water",
    "CCSS_core  0  0  0  450  500",
    "pjsip/default-0000000a  99  0  3  450  500",
    "stasis/pool  1234  5  17  450  500",
]
BRIDGES = [
    "Bridge-ID  Name  Creator  Chans  Type  Technology  Created",
    "ae235011-1fb0-48d4-a173-b2b11ad974c8  2  basic  simple_bridge  2025-01-01 00:02:00 UTC",
    "c3907f47-2c09-4fa1-8ff1-39a555102e1b  101  ConfBridge  3  base  softmix  2025-01-01 00:01:00 UTC",
    "f0000000-0000-4000-8000-000000000000  0",
]
ALICE = (
    "PJSIP/alice-00000001  1735689600.1  from-internal  1000  3  AST_STATE_UP  Dial  PJSIP/bob,30,g  +15550100"
    r"  Eve\nLocal/forged@default-00000009;1\x1b[31m"
    "  2025-01-01 00:00:00.012345 UTC  sales  support  c3907f47-2c09-4fa1-8ff1-39a555102e1b"
)
CHANNELS = [
    "Channel  Unique ID  Context  Extension  Priority  State  Application  Data  Caller ID  Caller name"
    "  Created  Accountcode  PeerAccount  Bridge-ID",
    "Local/300@default-00000003;1  1735689600.3  default  300  2  AST_STATE_DOWN  Wait  600",
    ALICE,
    "PJSIP/bob-00000002  1735689600.2  default  s  1  AST_STATE_RINGING",
]
LOCKS = """\
=== Thread ID: 0xa11ce LWP:4711 (pbx_thread           started at [ 4761] pbx.c ast_pbx_start())
=== ---> Lock #0 (channel.c): MUTEX 111 ast_channel_get chan 0xADDRESS
===      since 2025-01-01 00:00:01 UTC (times locked 1, attempts 1)
=== ---> Waiting for Lock #1 (bridge.c): MUTEX 222 ast_bridge_join bridge 0xADDRESS
===      since 2025-01-01 00:00:02 UTC (times locked 1, attempts 2, held 1)
=== --- ---> Owned by LWP:4712
=== --- ---> Locked Here: bridge.c line 777 (bridge_channel_internal_join) by thread 0xb0b
===
=== Thread ID: 0xb0b LWP:4712 (bridge_thread)
=== ---> Lock #0 (bridge.c): MUTEX 777 bridge_channel_internal_join bridge 0xADDRESS
===      since 2025-01-01 00:00:00 UTC (times locked 1, attempts 1, held 1)
=== ---> Lock #1 (pbx.c): RDLOCK 333 ast_rdlock_contexts conlock 0xADDRESS
===      since 2025-01-01 00:00:00 UTC (times locked 2, attempts 2)
=== ---> Tried and failed to get Lock #2 (channel.c): MUTEX 444 ast_channel_try chan 0xADDRESS
===      since 2025-01-01 00:00:03 UTC (times locked 0, attempts 1)
===
=== Thread ID: 0x51ee9 LWP:4713 (sched_run)
=== ---> Suspended Lock #0 (sched.c): MUTEX 144 sched_run con->lock 0xADDRESS
===      since 2025-01-01 00:00:00 UTC (times locked 1, attempts 1)
===
=== Of 4 threads, 2 hold locks, wait for one or failed to get one, 1 only wait for a condition
"""


@pytest.fixture(scope="module")
def pbx() -> Iterator[Path]:
    """The programs, built for debugging."""
    with scratch_directory() as directory:
        yield build(directory, "pbx")


@pytest.fixture(scope="module")
def stripped() -> Iterator[Path]:
    """The programs without debug information."""
    with scratch_directory() as directory:
        yield build(directory, "STRIP=1", "pbx")


class State:
    """The result of an extraction: the record, info.txt, locks.txt and the backtrace."""

    def __init__(self, configured: RunningDaemon, core: Path) -> None:
        self.record: Crash = extract(configured, core)
        self.info = section_text(configured, self.record, Section.INFO)
        self.locks = section_text(configured, self.record, Section.LOCKS)
        self.backtrace = section_text(configured, self.record, Section.BACKTRACE)

    def part(self, title: str) -> list[str]:
        """Return a part of info.txt, starting with its title; the width of columns is normalized."""
        (part,) = [part for part in self.info.split("\n\n") if part.startswith(title)]
        return [re.sub(r" {2,}", "  ", line) for line in part.splitlines()]


@pytest.mark.parametrize(
    ("version", "options", "storage"),
    [
        ("16", (), "ao2 container"),
        ("22", (), "ao2_legacy"),
        ("22", ("--storage", "cpp_map_name_id"), "cpp_map_name_id"),
    ],
)
def test_info_lists_the_state_of_the_pbx(
    extracting: RunningDaemon, pbx: Path, scratch: Path, version: str, options: tuple[str, ...], storage: str
) -> None:
    state = State(extracting, crash(pbx / f"pbx-{version}", scratch, *options))

    assert state.part("Taskprocessors") == ["Taskprocessors (3):", *TASKPROCESSORS]
    assert state.part("Bridges") == ["Bridges (3):", *BRIDGES]
    assert state.part("Channels") == ["Channels (3):", *CHANNELS]
    assert state.part("Channel storage") == [
        f"Channel storage: {storage}",
        "3 active channels",
        "2 active calls",
        "17 calls processed",
    ]


def test_info_and_locks_begin_with_the_build(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch))

    up = state.record.crashed_at - datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
    minutes, second = divmod(up.seconds, 60)
    about = [
        "Version: 22.10.0",
        "Built by: pbuilder @ buildd on a x86_64 running Linux on 2025-01-01 00:00:00 UTC",
        "Build options: DEBUG_THREADS",
        "All build options: DONT_OPTIMIZE, DEBUG_THREADS",
        "Started: 2024-12-31 23:59:59.250000 UTC",
        "Last reload: 2025-01-01 00:00:00.500000 UTC",
        f"Uptime at the crash: {up.days} days {minutes // 60}:{minutes % 60:02}:{second:02}",
    ]
    assert state.info.splitlines()[:7] == about
    assert "\n".join(about) in state.locks
    assert state.record.asterisk.version == "22.10.0"
    assert state.record.asterisk.build_options == ("DONT_OPTIMIZE", "DEBUG_THREADS")
    assert (state.record.asterisk.dont_optimize, state.record.asterisk.debug_threads) == (True, True)


def test_locks_lists_holders_and_waiters(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch))

    (table,) = re.findall(r"^=== Thread ID: .*", state.locks, re.DOTALL | re.MULTILINE)
    assert re.sub(r"0x5[0-9a-f]{11}", "0xADDRESS", table) == LOCKS


def test_locks_without_a_table_says_how_to_get_one(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-16", scratch))

    assert "Locks: unknown: this Asterisk was built without DEBUG_THREADS" in state.locks
    assert "make menuselect" in state.locks


def test_info_lists_the_program_and_its_modules_by_build_id(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    state = State(extracting, crash(programs, scratch, "segv"))

    listed = {path: ran for ran, _, path in (line.partition("  ") for line in state.part("Program and modules")[1:])}
    for ours in (programs / "asterisk", *programs.glob("modules/*.so")):
        assert listed[str(ours)] == build_id(ours)
    assert any(path.endswith("/libc.so.6") for path in listed)


def test_info_marks_modules_that_were_replaced(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "installed"], check=True)
    core = crash(scratch / "installed", scratch, "segv")
    module = scratch / "installed/modules/app_dial.so"
    ran = build_id(module)
    build(scratch / "installed", "OPTIMIZE=1")
    state = State(extracting, core)
    assert f"{ran}  {module}  (the file on disk is another build now: {build_id(module)})\n" in state.info


@pytest.mark.parametrize(
    ("damage", "remark"),
    [("cycle", "a node occurs twice, at 0x"), ("wild", "a link points to unreadable memory, at 0x41")],
)
def test_corrupt_links_are_reported_and_the_rest_is_listed(
    extracting: RunningDaemon, pbx: Path, scratch: Path, damage: str, remark: str
) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, damage))

    for title, rows in (("Taskprocessors", TASKPROCESSORS), ("Bridges", BRIDGES), ("Channels", CHANNELS)):
        heading, *remarks = state.part(title)[: -len(rows)]
        assert heading == f"{title} (3):"
        assert [remark in line for line in remarks] == [True]
        assert [row[:36] for row in state.part(title)[-len(rows) :]] == [row[:36] for row in rows]
    assert f"=== ({remark}" in state.locks
    assert "=== Of 4 threads" in state.locks


def test_an_unreadable_text_affects_its_column_only(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "wild"))

    assert ALICE.replace("  Dial  ", "  <unreadable>  ") in state.part("Channels")
    assert "=== --- ---> the holder cannot be read: Cannot access memory at address 0x4141" in state.locks


def test_a_long_text_is_truncated(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "long"))

    assert state.part("Channels") == ["Channels (3):", *CHANNELS[:-1], f"{CHANNELS[-1]}  {1024 * 'x'}..."]


def test_wrong_counts_are_reported_and_not_trusted(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "count"))

    assert state.part("Taskprocessors")[0] == "Taskprocessors (3, expected 1000000):"
    assert "invalid number of buckets, 2147483647" in state.part("Taskprocessors")[1]
    assert state.part("Taskprocessors")[-4:] == TASKPROCESSORS
    assert state.part("Channels")[-4:] == CHANNELS
    assert "=== (according to its counter it has 1000 locks)" in state.locks


def test_a_corrupt_container_is_not_read(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "smashed"))

    why = "unknown: not a container: unknown methods at 0x4141414141414141"
    for title in ("Taskprocessors", "Bridges", "Channels", "Active channels"):
        assert state.part(title)[0] == f"{title}: {why}"
    assert "17 calls processed" in state.info
    assert "=== Of 4 threads" in state.locks


def test_a_pbx_that_crashed_while_it_started_has_nothing_to_list(
    extracting: RunningDaemon, pbx: Path, scratch: Path
) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "early"))

    assert state.part("Bridges") == ["Bridges: unknown: Asterisk had not created it yet, or had destroyed it"]
    assert "=== Of 0 threads" in state.locks


def test_an_unsupported_channel_storage_is_named(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "--storage", "any"))

    assert state.part("Channels") == [
        "Channels: unknown: astbtd does not support the channel storage driver 'of_tomorrow'"
    ]
    assert state.part("Bridges") == ["Bridges (3):", *BRIDGES]


def test_a_walk_is_stopped_after_many_nodes(extracting: RunningDaemon, pbx: Path, scratch: Path) -> None:
    state = State(extracting, crash(pbx / "pbx-22", scratch, "many"))

    heading, remark, *rows = state.part("Channels")
    assert heading == "Channels (19999, expected 25000):"
    assert "stopped after 20000 nodes" in remark
    assert set(rows[1:]) == {CHANNELS[1]}


def test_a_walk_is_stopped_at_its_time_limit(pbx: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdb_runner, "_TABLE_SECONDS", 0)
    extraction = extract_here(crash(pbx / "pbx-22", scratch), scratch)
    assert extraction.ended is ExtractionOutcome.OK
    info = (scratch / Section.INFO).read_text()
    assert "Channels (0, expected 3):\n  (stopped after 0 s of CPU time)\n" in info


@pytest.mark.parametrize("error", ["RuntimeError", "MemoryError", "KeyboardInterrupt"])
def test_a_part_that_fails_gives_the_reason_and_the_others_are_written(
    pbx: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    replace_bridges(monkeypatch, f"def bridges(): raise {error}('of the test')")
    extraction = extract_here(crash(pbx / "pbx-22", scratch), scratch)
    assert extraction.ended is ExtractionOutcome.OK
    info = (scratch / Section.INFO).read_text()
    assert f"\nBridges: cannot be read: {error}: of the test\n" in info
    assert "Taskprocessors (3):" in info
    assert "Channels (3):" in info


def test_a_gdb_that_dies_in_a_part_has_written_all_backtraces_before(
    pbx: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = crash(pbx / "pbx-22", scratch)
    extract_here(core, scratch)
    complete = {section: (scratch / section).read_text() for section in Section if (scratch / section).exists()}
    replace_bridges(monkeypatch, "import os; bridges = lambda: os.kill(os.getpid(), 9)")

    assert extract_here(core, scratch).ended is not ExtractionOutcome.OK

    for section in (Section.BACKTRACE, Section.THREAD1, Section.BRIEF, Section.FULL, Section.LOCKS):
        assert (scratch / section).read_text() == complete[section]
    before, _, _ = complete[Section.INFO].partition("\nBridges")
    assert (scratch / Section.INFO).read_text().startswith(before)


@pytest.mark.parametrize(("version", "debug_threads"), [("16", False), ("22", True)])
def test_a_stripped_build_gives_its_exports_and_a_hint_for_the_rest(
    extracting: RunningDaemon, stripped: Path, scratch: Path, version: str, debug_threads: bool
) -> None:
    state = State(extracting, crash(stripped / f"pbx-{version}", scratch))

    assert state.record.asterisk.dont_optimize is True
    assert state.record.asterisk.debug_threads is debug_threads
    assert "\nStarted: 2024-12-31 23:59:59.250000 UTC\n" in state.info
    assert "2 active calls\n17 calls processed\n" in state.info
    for title in ("Taskprocessors", "Bridges", "Channels"):
        assert state.part(title)[0].startswith(f"{title}: unknown: this asterisk has no debug information about")
    assert "asterisk-dbgsym" in state.info
    assert "asterisk-debuginfo" in state.info
    assert ("no debug information about the variable lock_infos" in state.locks) is debug_threads


def test_a_variable_of_the_crashed_function_is_not_mistaken_for_asterisks(
    extracting: RunningDaemon, pbx: Path, scratch: Path
) -> None:
    core = crash(pbx / "pbx-22", scratch)
    here = subprocess.run(
        ["gdb", "-batch", "-nx", "-ex", "p bridges", pbx / "pbx-22/asterisk", core], capture_output=True, text=True
    )
    state = State(extracting, core)
    assert "(int *) 0x0" in here.stdout
    assert state.part("Bridges")[0] == "Bridges (3):"


def test_the_backtrace_is_complete_before_the_state_of_the_pbx_is_read(pbx: Path, scratch: Path) -> None:
    written: list[dict[Section, str]] = []

    def read() -> None:
        written.append({section: (scratch / section).read_text() for section in (Section.BACKTRACE, Section.INFO)})

    extract_here(crash(pbx / "pbx-22", scratch), scratch, read)

    (texts,) = written
    assert texts[Section.BACKTRACE] == (scratch / Section.BACKTRACE).read_text()
    assert "Bridges (3):" not in texts[Section.INFO]
    assert "Bridges (3):" in (scratch / Section.INFO).read_text()


def extract_here(core: Path, directory: Path, backtrace_written: Callable[[], object] = lambda: None) -> Extraction:
    """Extract into `directory`, in the test process."""
    core.chmod(0o644)
    for section in Section:
        (directory / section).unlink(missing_ok=True)
    extractor = gdb_runner.Extractor(
        GdbSettings(),
        find_sandbox_user("astbtd-gdb"),
        -1,
        Symbols.LAZY,
        check_reserve=lambda _: None,
        check_interrupt=lambda: None,
        backtrace_written=backtrace_written,
    )
    descriptor = os.open(core, os.O_RDONLY)
    try:
        return extractor.extract(opened_before(descriptor, read_facts(descriptor)), directory).extraction
    finally:
        os.close(descriptor)


def replace_bridges(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Run code that defines `bridges` inside gdb, and call that in place of the function that reads the bridges."""
    command = script_archive.start_command
    replace = f"from astbtd.extraction.script import pbx_tables\n{code}\npbx_tables.bridges = bridges"
    start = "write_sections.main()"
    monkeypatch.setattr(
        script_archive, "start_command", lambda path: command(path).replace(start, f"exec({replace!r}); {start}")
    )


def build_id(path: Path) -> str:
    """Return the build id that readelf prints."""
    printed = subprocess.run(["readelf", "--notes", path], capture_output=True, text=True, check=True).stdout
    return printed.partition("Build ID: ")[2].split()[0]
