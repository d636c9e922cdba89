"""A read lease reveals writers of local files; of remote files only their age tells whether they may still grow."""

import errno
import fcntl
import os
import time

import pytest

from astbtd.claims.write_detection import is_being_written, may_still_grow
from astbtd.elf.headers import file_reader
from astbtd.lib import mounts
from tests.support.fixture_types import Dump


def test_a_writer_is_detected_until_it_closes_the_file(dump: Dump) -> None:
    path = dump()

    with path.open("rb") as opened:
        with path.open("ab"):
            assert is_being_written(opened.fileno()) is True
        assert is_being_written(opened.fileno()) is False


def test_writers_on_a_remote_file_system_are_unknown(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "file_system_type", lambda _: "nfs4")

    with dump().open("rb") as opened:
        assert is_being_written(opened.fileno()) is None


@pytest.mark.parametrize(
    ("age", "length", "grows"), [(0, -1, True), (0, None, False), (600, -1, False), (0, 100, True)]
)
def test_only_a_truncated_core_that_changed_recently_may_grow(
    dump: Dump, age: int, length: int | None, grows: bool
) -> None:
    path = dump()
    path.write_bytes(path.read_bytes()[:length])
    changed = time.time() - age
    os.utime(path, (changed, changed))

    with path.open("rb") as opened:
        assert may_still_grow(opened.fileno(), file_reader(opened.fileno())) is grows


@pytest.mark.parametrize(("error", "known"), [(errno.EAGAIN, True), (errno.EINVAL, None)])
def test_a_refused_lease_reveals_a_writer_only_with_eagain(
    dump: Dump, monkeypatch: pytest.MonkeyPatch, error: int, known: bool | None
) -> None:
    path = dump()

    def refuse(_: int, command: int, __: int) -> None:
        if command == fcntl.F_SETLEASE:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "fcntl", refuse)

    with path.open("rb") as opened:
        assert is_being_written(opened.fileno()) is known


def test_an_unexpected_error_of_a_lease_is_raised(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int, command: int, __: int) -> None:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "fcntl", fail)

    with dump().open("rb") as opened, pytest.raises(OSError, match="Input/output error"):
        is_being_written(opened.fileno())
