"""What other collectors keep: which files are cores, what they tell of a crash, and when that is not believed."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astbtd.claims.core_filter import Candidate, CoreFilter, Finding, NotACoreFile, RefusedFile
from astbtd.model.crash import CoreFacts, IdentityFrom, Source
from astbtd.sources import core_pattern
from astbtd.sources.collectors import collector as collecting
from astbtd.sources.collectors import systemd_coredump
from astbtd.sources.collectors.abrt import Abrt
from astbtd.sources.collectors.apport import Apport
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump, entry_of, told_by_journal, unescaped
from tests.support.builders import NOON, DeadProcess
from tests.support.packed import COMPRESS, FIELDS, report

NOON_SECONDS = int(NOON.timestamp())
BOOT = "0f" * 16
SYSTEMD_NAME = f"core.asterisk.110.{BOOT}.4242.{NOON_SECONDS}000000"
SYSTEMD_ATTRIBUTES = {
    "pid": "4242",
    "uid": "110",
    "gid": "115",
    "signal": "11",
    "timestamp": f"{NOON_SECONDS}000000",
    "rlimit": "18446744073709551615",
    "hostname": "pbx1",
    "comm": "asterisk",
    "exe": "/usr/sbin/asterisk",
}
ABRT_ELEMENTS = {
    "type": "CCpp",
    "executable": "/usr/sbin/asterisk",
    "pid": "4242",
    "time": str(NOON_SECONDS),
    "cmdline": "/usr/sbin/asterisk -g -f",
    "pwd": "/var/lib/asterisk",
    "reason": "asterisk killed by SIGSEGV",
}


def kept_by_systemd(
    spool: Path, name: str = SYSTEMD_NAME, attributes: Mapping[str, str] = SYSTEMD_ATTRIBUTES, suffix: str = ""
) -> Path:
    """A core as systemd-coredump keeps it."""
    path = spool / (name + suffix)
    core = DeadProcess().core()
    path.write_bytes(COMPRESS[suffix[1:]](core) if suffix else core)
    for what, value in attributes.items():
        os.setxattr(path, f"user.coredump.{what}", value.encode())
    return path


def kept_by_abrt(spool: Path, core: str = "coredump", **elements: str) -> Path:
    """A core as ABRT keeps it, in a directory with an element in each file."""
    problem = spool / "ccpp-2026-11-22-12:00:00.25-4242"
    problem.mkdir()
    for name, value in {**ABRT_ELEMENTS, **elements}.items():
        (problem / name).write_text(value)
    content = DeadProcess().core()
    (problem / core).write_bytes(COMPRESS["zst"](content) if core.endswith(".zst") else content)
    return problem / core


def kept_by_apport(spool: Path, **fields: str) -> Path:
    """A core as apport keeps it, in a report with these fields besides."""
    path = spool / "_usr_sbin_asterisk.110.crash"
    path.write_bytes(report(DeadProcess().core(), {**FIELDS, **fields}))
    return path


def examined(collector: Collector, path: Path, spool: Path) -> Finding:
    """What a file in a collection is; a core's descriptor is closed again."""
    finding = CoreFilter(("asterisk",), collector=collector).examine(str(spool), str(path.relative_to(spool)))
    if isinstance(finding, Candidate):
        os.close(finding.descriptor)
    return finding


def taken(collector: Collector, path: Path, spool: Path) -> CoreFacts:
    finding = examined(collector, path, spool)
    assert isinstance(finding, Candidate), finding
    assert finding.source is collector.source
    return finding.facts


def refused(collector: Collector, path: Path, spool: Path) -> str:
    finding = examined(collector, path, spool)
    assert isinstance(finding, RefusedFile), finding
    return finding.reason


@pytest.mark.parametrize(
    ("pattern", "fed"),
    [
        ("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h %d %F", {Source.SYSTEMD_COREDUMP}),
        ("@@/run/systemd/coredumpd/kernel", {Source.SYSTEMD_COREDUMP}),
        ("|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -F%F -- %E", {Source.APPORT}),
        ("|/usr/libexec/abrt-hook-ccpp %s %c %p %u %g %t %P %I %h", {Source.ABRT}),
        ("|/usr/local/bin/keep-core", set()),
        ("@/run/keep.sock", set()),
        ("/var/crash/core.%e", set()),
    ],
)
def test_the_kernels_pattern_says_which_collector_is_at_work(pattern: str, fed: set[Source]) -> None:
    collectors: tuple[Collector, ...] = (SystemdCoredump(), Apport(), Abrt())

    assert {each.source for each in collectors if each.is_fed_by(core_pattern.parse(pattern))} == fed


@pytest.mark.parametrize("suffix", ["", ".zst", ".xz", ".lz4"])
def test_a_core_of_systemd_coredump_is_a_candidate_of_the_time_that_it_tells(spool: Path, suffix: str) -> None:
    path = kept_by_systemd(spool, suffix=suffix)

    facts = taken(SystemdCoredump(), path, spool)

    assert SystemdCoredump().cores(str(spool), path.name) == [path.name]
    assert facts.crashed_at == NOON
    assert (facts.process.pid, facts.process.container) == (4242, None)
    assert facts.identity_from is (IdentityFrom.FILE if suffix else IdentityFrom.AT_RANDOM)


def test_without_attributes_the_time_of_the_file_counts(spool: Path) -> None:
    path = kept_by_systemd(spool, attributes={})
    os.utime(path, (0, NOON_SECONDS + 7))

    assert taken(SystemdCoredump(), path, spool).crashed_at == datetime.fromtimestamp(NOON_SECONDS + 7, UTC)


def test_another_pid_in_the_machines_name_space_means_a_container(spool: Path) -> None:
    name, attributes = SYSTEMD_NAME.replace("4242", "31337"), {**SYSTEMD_ATTRIBUTES, "pid": "31337"}

    process = taken(SystemdCoredump(), kept_by_systemd(spool, name, attributes), spool).process

    assert (process.pid, process.executable, process.container) == (4242, "/usr/sbin/asterisk", True)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"signal": "6"}, "it is said to be of signal 6, and is of signal 11"),
        ({"signal": "eleven"}, "its attribute user.coredump.signal is no number"),
        ({"signal": "1" * 3000}, "its attribute user.coredump.signal is no number"),
        ({"pid": "1"}, "its attribute user.coredump.pid contradicts its name"),
        ({"uid": "0"}, "its attribute user.coredump.uid contradicts its name"),
        ({"comm": "../../etc"}, "its attribute user.coredump.comm contradicts its name"),
        ({"timestamp": "9" * 20}, "its attribute user.coredump.timestamp contradicts its name"),
    ],
)
def test_an_attribute_that_lies_is_refused(spool: Path, lie: dict[str, str], reason: str) -> None:
    path = kept_by_systemd(spool, attributes={**SYSTEMD_ATTRIBUTES, **lie})

    assert refused(SystemdCoredump(), path, spool) == reason


@pytest.mark.parametrize("timestamp", ["99999999999999999999", "32503680000000000"])
def test_a_time_that_cannot_be_is_refused_even_if_name_and_attribute_agree(spool: Path, timestamp: str) -> None:
    name = SYSTEMD_NAME.replace(f"{NOON_SECONDS}000000", timestamp)
    path = kept_by_systemd(spool, name, {**SYSTEMD_ATTRIBUTES, "timestamp": timestamp})

    assert refused(SystemdCoredump(), path, spool).endswith(("is no time", "and is older"))


@pytest.mark.parametrize(
    "name", [f".#{SYSTEMD_NAME}0a1b2c3d", "core", "notes.txt", f"{SYSTEMD_NAME}.gz", f"core.a.b.1.{BOOT}.2.3", "a/core"]
)
def test_what_systemd_coredump_does_not_call_a_core_is_not_looked_at(spool: Path, name: str) -> None:
    assert SystemdCoredump().cores(str(spool), name) == []


def test_names_are_unescaped() -> None:
    assert unescaped(r"my\x2ecommand\x20\x5cx") == rb"my.command \x"


def test_a_command_with_a_strange_name_agrees_with_its_attribute(spool: Path) -> None:
    name = SYSTEMD_NAME.replace("asterisk", r"a\x2f\x2e\x2e\x20b")

    assert taken(SystemdCoredump(), kept_by_systemd(spool, name, {**SYSTEMD_ATTRIBUTES, "comm": "a/.. b"}), spool)


JOURNAL = {
    "MESSAGE_ID": systemd_coredump.MESSAGE_ID,
    "_SYSTEMD_UNIT": "systemd-coredump@7-4343-0.service",
    "COREDUMP_FILENAME": f"/var/lib/systemd/coredump/{SYSTEMD_NAME}",
    "COREDUMP_CMDLINE": "/usr/sbin/asterisk -g -f",
    "COREDUMP_CWD": "/var/lib/asterisk",
    "COREDUMP_PID": 4242,
}
TOLD = collecting.CollectorMetadata(command_line="/usr/sbin/asterisk -g -f", cwd="/var/lib/asterisk")


@pytest.mark.parametrize(
    "unit", ["systemd-coredump@7-4343-0.service", "systemd-coredump@12.service", "systemd-coredumpd.service"]
)
def test_the_journal_tells_more_of_a_core_of_systemd_coredump(unit: str) -> None:
    assert told_by_journal({**JOURNAL, "_SYSTEMD_UNIT": unit}, SYSTEMD_NAME) == TOLD


def test_the_entry_is_found_by_what_the_name_tells() -> None:
    assert entry_of(SYSTEMD_NAME) == {
        "MESSAGE_ID": systemd_coredump.MESSAGE_ID,
        "COREDUMP_PID": "4242",
        "COREDUMP_TIMESTAMP": f"{NOON_SECONDS}000000",
    }


@pytest.mark.parametrize(
    "forged",
    [
        {"_SYSTEMD_UNIT": "user@1000.service"},
        {"_SYSTEMD_UNIT": "evil-systemd-coredump@1.service"},
        {"_SYSTEMD_UNIT": "systemd-coredump@/../x.service"},
        {"_SYSTEMD_UNIT": None},
        {"COREDUMP_FILENAME": "/etc/shadow"},
        {"COREDUMP_FILENAME": None},
    ],
)
def test_an_entry_that_anybody_can_log_is_not_believed(forged: dict[str, object]) -> None:
    assert told_by_journal({**JOURNAL, **forged}, SYSTEMD_NAME) is None


@pytest.mark.parametrize("value", ["two\nlines", "\x1b[2J", "x" * 100_000, ""])
def test_a_field_of_the_journal_that_is_no_line_of_text_tells_nothing(value: str) -> None:
    told = told_by_journal({**JOURNAL, "COREDUMP_CMDLINE": value}, SYSTEMD_NAME)

    assert told is not None
    assert (told.command_line, told.cwd) == (None, "/var/lib/asterisk")


def test_the_journal_knows_of_containers() -> None:
    told = told_by_journal({**JOURNAL, "COREDUMP_CONTAINER_CMDLINE": "systemd-nspawn"}, SYSTEMD_NAME)

    assert told is not None
    assert told.contained


def test_a_report_of_apport_is_a_candidate_with_what_its_fields_tell(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    path = kept_by_apport(spool)

    facts = taken(Apport(), path, spool)

    assert Apport().cores(str(spool), path.name) == [path.name]
    assert facts.crashed_at == NOON
    assert facts.process.command_line == FIELDS["ProcCmdline"]
    assert facts.process.cwd == "/var/lib/asterisk"


def test_a_bare_core_of_apport_is_a_candidate(spool: Path) -> None:
    path = spool / "core._usr_local_sbin_asterisk.0.13c1c8f2-8a32-4b0c-9d6e-0a1b2c3d4e5f.4242.1234567"
    path.write_bytes(DeadProcess().core())

    assert Apport().cores(str(spool), path.name) == [path.name]
    assert taken(Apport(), path, spool).process.pid == 4242


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("Signal", "6", "it is said to be of signal 6, and is of signal 11"),
        ("Signal", "9" * 400, "its field Signal is no number"),
        ("Signal", "-11", "its field Signal is no number"),
        ("Date", "yesterday", "its field Date is no time"),
        ("Date", "Sun Nov 22 12:00:00 2999", "it is said to be of a crash at"),
        ("ProcCmdline", "asterisk\nSignal: 6", "its field ProcCmdline is no line of text"),
        ("ProcCmdline", "\x1b]0;title\x07", "its field ProcCmdline is no line of text"),
        ("ProcCmdline", "x" * 100_000, "its field ProcCmdline is no line of text"),
        ("ProcCmdline", "\udcff\udcfe", "its field ProcCmdline is no line of text"),
        ("ProcCwd", "../../etc", "its field ProcCwd is no absolute path"),
        ("Padding", "x" * (17 << 20), "its fields are longer than 16 MiB"),
    ],
)
def test_a_report_with_a_hostile_field_is_refused(spool: Path, field: str, value: str, reason: str) -> None:
    assert reason in refused(Apport(), kept_by_apport(spool, **{field: value}), spool)


@pytest.mark.parametrize("core", ["coredump", "coredump.zst"])
def test_a_problem_of_abrt_is_a_candidate_with_what_its_elements_tell(spool: Path, core: str) -> None:
    path = kept_by_abrt(spool, core)

    facts = taken(Abrt(), path, spool)

    assert Abrt().cores(str(spool), path.parent.name) == [f"{path.parent.name}/{core}"]
    assert facts.crashed_at == NOON
    assert facts.process.command_line == "/usr/sbin/asterisk -g -f"
    assert facts.process.cwd == "/var/lib/asterisk"


def test_a_problem_that_abrt_still_writes_is_not_looked_at(spool: Path) -> None:
    problem = kept_by_abrt(spool).parent
    problem.rename(problem.with_name(f"{problem.name}.new"))

    assert Abrt().cores(str(spool), f"{problem.name}.new") == []


def test_a_root_directory_of_its_own_means_a_container(spool: Path) -> None:
    path = kept_by_abrt(spool, rootdir="/var/lib/containers/storage/overlay/1/merged")

    assert taken(Abrt(), path, spool).process.container


@pytest.mark.parametrize(
    ("element", "value", "reason"),
    [
        ("time", "noon", "its element time is no number"),
        ("time", "9" * 19, "its element time is no time"),
        ("cmdline", "asterisk\n-rx\x1b", "its element cmdline is no line of text"),
        ("pwd", "x" * 100_000, "its element pwd is no line of text"),
    ],
)
def test_a_problem_with_a_hostile_element_is_refused(spool: Path, element: str, value: str, reason: str) -> None:
    assert refused(Abrt(), kept_by_abrt(spool, **{element: value}), spool) == reason


def test_an_element_that_is_a_link_or_a_fifo_tells_nothing(spool: Path) -> None:
    path = kept_by_abrt(spool)
    for name in ("cmdline", "pwd"):
        (path.parent / name).unlink()
    (path.parent / "cmdline").symlink_to("/etc/passwd")
    os.mkfifo(path.parent / "pwd")

    process = taken(Abrt(), path, spool).process

    assert (process.command_line, process.cwd) == (DeadProcess().command_line, None)


COLLECTIONS = [
    (SystemdCoredump(), SYSTEMD_NAME),
    (SystemdCoredump(), f"{SYSTEMD_NAME}.zst"),
    (Apport(), "_usr_sbin_asterisk.110.crash"),
]


@pytest.mark.parametrize(("collector", "name"), COLLECTIONS)
def test_a_link_a_fifo_and_a_second_name_in_a_collection_are_refused(
    spool: Path, tmp_path: Path, collector: Collector, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(DeadProcess().core())
    before = outside.stat()

    for make, reason in ((os.symlink, "no regular file"), (os.link, "hard link")):
        make(outside, spool / name)
        assert reason in refused(collector, spool / name, spool)
        (spool / name).unlink()
    os.mkfifo(spool / name)

    assert "no regular file" in refused(collector, spool / name, spool)
    assert (outside.stat().st_mtime_ns, outside.stat().st_mode, outside.read_bytes()) == (
        before.st_mtime_ns,
        before.st_mode,
        DeadProcess().core(),
    )


def test_a_problem_directory_that_is_a_link_is_refused(spool: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    core = kept_by_abrt(tmp_path / "elsewhere")
    (spool / "ccpp-1").symlink_to(core.parent)

    assert Abrt().cores(str(spool), "ccpp-1") == ["ccpp-1/coredump"]
    assert refused(Abrt(), spool / "ccpp-1" / "coredump", spool) == "it cannot be reached: Not a directory"


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_cores_of_other_programs_are_what_a_collection_is_full_of(spool: Path, suffix: str) -> None:
    path = kept_by_systemd(spool, suffix=suffix)
    core = DeadProcess(mapped=("/usr/bin/perl",)).core()
    path.write_bytes(COMPRESS["zst"](core) if suffix else core)

    assert examined(SystemdCoredump(), path, spool) == NotACoreFile()
