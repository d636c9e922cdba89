"""What all collectors have in common: the core_pattern that feeds them, and that hostile files are refused."""

import os
from pathlib import Path

import pytest

from astbtd.claims.core_filter import NotACoreFile
from astbtd.sources import core_pattern
from astbtd.sources.collectors.abrt import Abrt
from astbtd.sources.collectors.apport import Apport
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.registry import COLLECTORS
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from tests.support.builders import DeadProcess
from tests.support.collector_samples import (
    STORE_AS,
    SYSTEMD_NAME,
    accepted,
    examine,
    refusal,
    store_as_abrt,
    store_as_systemd_coredump,
)
from tests.support.packed import COMPRESS


@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: collector.name)
def test_a_core_stored_by_a_collector_is_accepted(
    spool: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    path = STORE_AS[collector.name](spool)
    entry = path.relative_to(spool).parts[0]

    assert collector.core_files(str(spool), entry) == [str(path.relative_to(spool))]
    assert accepted(collector, path, spool).process.pid == 4242


@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: collector.name)
def test_other_files_in_a_collectors_directory_are_ignored(spool: Path, collector: Collector) -> None:
    (spool / "notes.txt").write_text("notes")

    assert collector.core_files(str(spool), "notes.txt") == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h %d %F", {"systemd-coredump"}),
        ("@@/run/systemd/coredumpd/kernel", {"systemd-coredump"}),
        ("|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -F%F -- %E", {"apport"}),
        ("|/usr/libexec/abrt-hook-ccpp %s %c %p %u %g %t %P %I %h", {"abrt"}),
        ("|/usr/local/bin/keep-core", set()),
        ("@/run/keep.sock", set()),
        ("/var/crash/core.%e", set()),
    ],
)
def test_core_pattern_determines_the_active_collector(pattern: str, expected: set[str]) -> None:
    parsed = core_pattern.parse(pattern)

    assert {collector.name for collector in COLLECTORS if parsed.feeds(collector)} == expected


@pytest.mark.parametrize(
    ("collector", "name"),
    [
        (SystemdCoredump(), SYSTEMD_NAME),
        (SystemdCoredump(), f"{SYSTEMD_NAME}.zst"),
        (Apport(), "_usr_sbin_asterisk.110.crash"),
    ],
)
def test_a_symbolic_link_a_hard_link_and_a_fifo_are_refused(
    spool: Path, tmp_path: Path, collector: Collector, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astbtd.claims.core_judge._SECOND_NAME_SECONDS", 0.0)
    outside = tmp_path / "outside"
    outside.write_bytes(DeadProcess().core())
    before = outside.stat()

    for make, reason in ((os.symlink, "regular file"), (os.link, "hard link")):
        make(outside, spool / name)
        assert reason in refusal(collector, spool / name, spool)
        (spool / name).unlink()
    os.mkfifo(spool / name)

    assert "regular file" in refusal(collector, spool / name, spool)
    after = outside.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert outside.read_bytes() == DeadProcess().core()


def test_a_symbolic_link_to_a_problem_directory_is_refused(spool: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    core = store_as_abrt(tmp_path / "elsewhere")
    (spool / "ccpp-1").symlink_to(core.parent)

    assert Abrt().core_files(str(spool), "ccpp-1") == ["ccpp-1/coredump"]
    assert "Not a directory" in refusal(Abrt(), spool / "ccpp-1" / "coredump", spool)


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_cores_of_other_programs_are_ignored(spool: Path, suffix: str) -> None:
    path = store_as_systemd_coredump(spool, suffix=suffix)
    core = DeadProcess(mapped=("/usr/bin/perl",)).core()
    path.write_bytes(COMPRESS["zst"](core) if suffix else core)

    assert examine(SystemdCoredump(), path, spool) == NotACoreFile()
