"""Which files are cores of Asterisk, and why others are refused."""

import errno
import os
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from astbtd.claims import core_filter, core_judge
from astbtd.claims.core_filter import (
    ANY_NUMBER,
    Candidate,
    CoreFilter,
    Finding,
    NotACoreFile,
    RefusedFile,
    StillWritten,
    examine,
)
from astbtd.elf.headers import FileType
from astbtd.lib import mounts
from astbtd.sources.collectors.abrt import Abrt
from tests.support.builders import FORMS, NOON, DeadProcess, program
from tests.support.finding import count_descriptors
from tests.support.fixture_types import Dump
from tests.support.packed import COMPRESS

ASTERISK = ("asterisk",)


def examined(path: Path, executables: Collection[str] | None = ASTERISK, links: int = 1) -> Finding:
    """Examine a file and close its descriptor."""
    finding = examine(str(path.parent), path.name, executables, links)
    if isinstance(finding, Candidate | StillWritten) and finding.descriptor is not None:
        os.close(finding.descriptor)
    return finding


def reason(path: Path) -> str:
    finding = examined(path)
    assert isinstance(finding, RefusedFile)
    assert finding.path == str(path)
    return finding.reason


@pytest.mark.parametrize("name", ["core", "core.4242", "CORE-3", ".hidden", "a b\n(c"])
def test_a_core_of_asterisk_is_a_candidate_whatever_its_name(dump: Dump, name: str) -> None:
    path = dump(name=name)

    finding = examined(path)

    assert isinstance(finding, Candidate)
    assert finding.path == str(path)
    assert finding.facts.process.pid == 4242


def test_the_examined_file_stays_open_when_its_name_is_removed(dump: Dump) -> None:
    path = dump()
    finding = examine(str(path.parent), path.name, ASTERISK)
    assert isinstance(finding, Candidate)

    path.unlink()

    assert os.pread(finding.descriptor, 4, 0) == b"\x7fELF"
    os.close(finding.descriptor)


def test_a_core_is_a_candidate_only_when_nobody_writes_it(dump: Dump) -> None:
    path = dump()

    with path.open("ab"):
        assert examined(path) == StillWritten(str(path))

    assert isinstance(examined(path), Candidate)


def test_a_core_that_is_being_written_stays_open(dump: Dump) -> None:
    path = dump()

    with path.open("ab"):
        found = examine(str(path.parent), path.name, ASTERISK)

    assert isinstance(found, StillWritten)
    assert found.descriptor is not None
    os.close(found.descriptor)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_core_is_recognized_by_its_beginning(spool: Path, suffix: str) -> None:
    path = spool / "dump"
    path.write_bytes(COMPRESS[suffix](DeadProcess().core() + bytes(64 << 20)))

    found = examined(path)

    assert isinstance(found, Candidate)
    assert found.packed
    assert found.facts.process.pid == 4242
    assert found.facts.crashed_at.timestamp() == pytest.approx(path.stat().st_mtime, abs=0.001)


@pytest.mark.parametrize("content", [b"a log\n" * 100, program(), b""])
def test_other_compressed_files_are_ignored_even_while_they_are_written(spool: Path, content: bytes) -> None:
    path = spool / "log.gz"
    path.write_bytes(COMPRESS["gz"](content))

    with path.open("ab"):
        assert content == b"" or examined(path) == NotACoreFile()
    assert examined(path) == NotACoreFile()


def test_a_compressed_core_of_another_program_is_refused(spool: Path) -> None:
    (spool / "dump").write_bytes(COMPRESS["xz"](DeadProcess(mapped=("/usr/bin/perl",)).core()))

    assert reason(spool / "dump") == "it is a core of /usr/bin/perl, not of Asterisk"


def test_a_damaged_compressed_core_is_refused(spool: Path) -> None:
    (spool / "dump").write_bytes(COMPRESS["zst"](FORMS[0].header(FileType.CORE, 5)))

    assert reason(spool / "dump") == "it is damaged: the table of segments is cut short"


@pytest.fixture
def on_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is on a file system where a lease does not reveal writers."""
    monkeypatch.setattr(mounts, "file_system_type", lambda _: "nfs4")


@pytest.mark.usefixtures("on_nfs")
@pytest.mark.parametrize("length", [100, 500, -1])
def test_if_writers_are_unknown_a_truncated_core_is_accepted_when_it_has_not_changed_for_a_while(
    dump: Dump, length: int
) -> None:
    path = dump()
    path.write_bytes(path.read_bytes()[:length])

    assert examined(path) == StillWritten(str(path))

    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    assert not isinstance(examined(path), StillWritten)


@pytest.mark.usefixtures("on_nfs")
def test_if_writers_are_unknown_a_complete_core_is_accepted_at_once(dump: Dump) -> None:
    path = dump()

    with path.open("ab"):
        assert isinstance(examined(path), Candidate)


@pytest.mark.usefixtures("on_nfs")
@pytest.mark.parametrize(("ahead", "waits"), [(600, True), (86400, False)])
def test_a_server_clock_that_is_ahead_delays_a_truncated_core_but_not_for_ever(
    dump: Dump, ahead: int, waits: bool
) -> None:
    path = dump()
    path.write_bytes(path.read_bytes()[:-1])
    now = time.time()

    os.utime(path, (now + ahead, now + ahead))

    assert isinstance(examined(path), StillWritten) == waits


@pytest.mark.parametrize(
    "content", [b"", b"core", b"#!/bin/sh\n" * 9, program(), FORMS[1].header(FileType.EXECUTABLE, 0)]
)
def test_a_file_that_does_not_begin_like_a_core_is_ignored(spool: Path, content: bytes) -> None:
    (spool / "core").write_bytes(content)

    assert examined(spool / "core") == NotACoreFile()


def test_a_missing_file_is_ignored(spool: Path) -> None:
    assert examined(spool / "core") == NotACoreFile()


def test_a_directory_is_ignored(spool: Path) -> None:
    (spool / "core").mkdir()

    assert examined(spool / "core") == NotACoreFile()


def test_a_symbolic_link_named_like_a_core_is_refused(dump: Dump, spool: Path) -> None:
    dump(name="real")
    (spool / "core").symlink_to("real")
    (spool / "other").symlink_to("real")

    assert reason(spool / "core") == "it is not a regular file"
    assert examined(spool / "other") == NotACoreFile()


def test_a_fifo_named_like_a_core_is_refused_without_waiting(spool: Path) -> None:
    os.mkfifo(spool / "core")

    assert reason(spool / "core") == "it is not a regular file"


def test_a_core_that_was_just_given_another_hard_link_is_examined_again_later(dump: Dump, spool: Path) -> None:
    path = dump()
    (spool / "other").hardlink_to(path)

    assert isinstance(examined(path), StillWritten)


def test_a_core_with_another_hard_link_is_refused(dump: Dump, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_judge, "_SECOND_NAME_SECONDS", 0.0)
    path = dump()
    (spool / "other").hardlink_to(path)

    assert "hard link" in reason(path)
    assert isinstance(examined(path, links=ANY_NUMBER), Candidate)


def test_a_damaged_core_is_refused_with_a_reason(spool: Path) -> None:
    (spool / "core").write_bytes(FORMS[0].header(FileType.CORE, 5))

    assert reason(spool / "core") == "it is damaged: the table of segments is cut short"


def test_a_file_that_was_replaced_is_to_be_examined_again(dump: Dump, spool: Path) -> None:
    dump()
    seen = (spool / "core").lstat()
    (spool / "core").rename(spool / "elsewhere")
    assert isinstance(CoreFilter(ASTERISK).examine(str(spool), "core", seen), StillWritten)
    (spool / "core").write_bytes(b"another")
    assert isinstance(CoreFilter(ASTERISK).examine(str(spool), "core", seen), StillWritten)


def test_a_file_that_claims_to_be_larger_than_any_core_is_refused(dump: Dump, spool: Path) -> None:
    dump()
    os.truncate(spool / "core", (1 << 40) + 1)
    refused = examine(str(spool), "core", ASTERISK)
    assert isinstance(refused, RefusedFile)
    assert "larger than any core" in refused.reason


def test_a_core_of_another_program_is_refused_by_its_name(dump: Dump) -> None:
    path = dump(DeadProcess(mapped=("/usr/bin/perl", "/lib/libc.so.6")))

    assert reason(path) == "it is a core of /usr/bin/perl, not of Asterisk"
    assert isinstance(examined(path, executables=None), Candidate)


def test_asterisk_is_recognized_by_its_modules_under_any_name(dump: Dump) -> None:
    path = dump(DeadProcess(mapped=("/opt/pbxd", "/opt/modules/pbx_config.so")))

    assert isinstance(examined(path), Candidate)


def test_a_core_of_a_debugger_is_refused_even_if_it_had_asterisk_mapped(dump: Dump) -> None:
    path = dump(DeadProcess(mapped=("/usr/bin/gdb", "/usr/lib/asterisk/modules/app_dial.so")))

    assert reason(path) == "it is a core of a debugger, /usr/bin/gdb"


@pytest.mark.parametrize("signal", [0, 19])
def test_a_snapshot_of_a_running_process_is_refused(dump: Dump, signal: int) -> None:
    assert "snapshot" in reason(dump(DeadProcess(signal=signal, code=0)))


def test_descriptors_of_refused_files_are_closed(dump: Dump, spool: Path) -> None:
    os.mkfifo(spool / "core.fifo")
    paths = [dump(DeadProcess(signal=0)), spool / "core.fifo", spool / "absent", spool]
    before = count_descriptors()

    for path in paths:
        examined(path)

    assert count_descriptors() == before


def test_a_file_that_cannot_be_read_now_is_neither_a_core_nor_refused(
    dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump()

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    before = count_descriptors()
    monkeypatch.setattr(os, "pread", fail)

    with pytest.raises(OSError, match="Input/output error"):
        examined(path)

    assert count_descriptors() == before


@pytest.mark.parametrize("number", [errno.EIO, errno.ENFILE])
def test_a_file_that_cannot_be_reopened_now_is_neither_a_core_nor_refused(
    dump: Dump, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = dump()

    def fail(_: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(core_filter, "reopen", fail)

    with pytest.raises(OSError, match=os.strerror(number)):
        examined(path)


def test_a_file_that_permissions_forbid_to_read_is_refused(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dump()

    def fail(_: int) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(core_filter, "reopen", fail)

    assert reason(path) == "it cannot be read: Permission denied"


def test_no_link_on_the_way_to_the_file_of_a_collector_is_followed(dump: Dump, spool: Path) -> None:
    dump(name="coredump")
    (spool / "problem").symlink_to(".")

    refused = CoreFilter(ASTERISK, collector=Abrt()).examine(str(spool), "problem/coredump")

    assert isinstance(refused, RefusedFile)
    assert refused.reason == "it cannot be opened: Not a directory"
    assert examine(str(spool), "problem/coredump", ASTERISK) == NotACoreFile()


def test_an_empty_file_counts_only_while_it_is_written_and_only_if_requested(spool: Path) -> None:
    accepting = CoreFilter(ASTERISK, empty_counts=True)
    with (spool / "core").open("wb"):
        assert examined(spool / "core") == NotACoreFile()
        written = accepting.examine(str(spool), "core")
        assert isinstance(written, StillWritten)
        assert written.descriptor is not None
        os.close(written.descriptor)

    assert accepting.examine(str(spool), "core") == NotACoreFile()
