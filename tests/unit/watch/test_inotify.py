"""Where the kernel refuses inotify, directories are polled until it no longer does; no lost event goes unnoticed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyinotify
import pytest

from astbtd.watch import inotify
from astbtd.watch.directory_watch import DirectoryWatch, Event, EventKind, FileWritten, RescanNeeded
from astbtd.watch.inotify import Inotify, InotifyWithFallback
from tests.support.watch_contract import wait_for


class Refused:
    """Inotify when fs.inotify.max_user_instances is used up."""

    def __init__(self) -> None:
        raise OSError("Too many open files")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The kernel refuses inotify until this is undone."""
    with monkeypatch.context() as patched:
        patched.setattr(inotify, "Inotify", Refused)
        yield patched


@pytest.fixture
def backend(refused: pytest.MonkeyPatch) -> Iterator[InotifyWithFallback]:
    assert refused
    backend = InotifyWithFallback()
    yield backend
    backend.close()


def test_a_directory_is_polled_if_inotify_is_refused(backend: InotifyWithFallback, spool: Path) -> None:
    watch = DirectoryWatch(backend)
    watch.watch([str(spool)])
    assert backend.polled == {str(spool)}

    (spool / "core").touch()

    wait_for(watch, FileWritten(str(spool), "core"))


def test_inotify_is_used_as_soon_as_it_is_granted(
    backend: InotifyWithFallback, refused: pytest.MonkeyPatch, spool: Path
) -> None:
    watch = DirectoryWatch(backend)
    watch.watch([str(spool)])
    backend.retry_inotify()
    assert backend.polled == {str(spool)}

    refused.undo()
    backend.retry_inotify()

    assert backend.polled == frozenset()
    (spool / "core").touch()
    wait_for(watch, FileWritten(str(spool), "core"))


def test_the_poll_of_a_directory_can_be_ended(backend: InotifyWithFallback, spool: Path) -> None:
    assert backend.add(str(spool))

    backend.remove(str(spool))

    assert backend.polled == frozenset()


def test_a_directory_that_can_neither_be_watched_nor_polled_is_refused(spool: Path) -> None:
    backend = InotifyWithFallback()

    assert not backend.add(str(spool / "missing"))

    assert backend.polled == frozenset()
    backend.close()


def test_a_directory_whose_name_cannot_be_encoded_is_refused(spool: Path) -> None:
    directory = spool / "\udcff"
    directory.mkdir()
    backend = Inotify()

    assert not backend.add(str(directory))

    backend.close()


def test_two_paths_of_one_directory_share_a_watch_until_both_are_removed(spool: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(spool)
    backend = Inotify()
    assert backend.add(str(spool))
    assert backend.add(str(link))

    backend.remove(str(link))
    (spool / "core").touch()

    assert Event(EventKind.FILE, str(spool), "core") in backend.read_events()
    backend.close()


def test_an_overflow_of_the_event_queue_asks_for_a_scan_of_all_directories(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Inotify()
    watch = DirectoryWatch(backend)
    watch.watch([str(spool)])
    watch.read_hints()
    overflow = pyinotify.Event({"wd": -1, "mask": pyinotify.IN_Q_OVERFLOW, "name": None})
    overflow.maskname = "IN_Q_OVERFLOW"

    def read_overflow(notifier: pyinotify.Notifier) -> None:
        os.read(notifier._fd, 4096)
        notifier._default_proc_fun(overflow)

    monkeypatch.setattr(pyinotify.Notifier, "read_events", read_overflow)
    (spool / "core").touch()

    assert watch.read_hints() == [RescanNeeded(str(spool))]
    watch.close()
