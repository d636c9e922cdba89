"""Polling needs threads only while there is something to poll."""

import threading
from pathlib import Path

from astbtd.watch.directory_watch import DirectoryWatch
from astbtd.watch.polling import Polling


def polling_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("polling"))


def test_polling_has_threads_only_while_there_is_something_to_poll(spool: Path) -> None:
    watch = DirectoryWatch(Polling())
    assert polling_threads() == []
    watch.watch([str(spool)])
    assert polling_threads() == ["polling", f"polling {spool}"]
    watch.watch([])
    assert polling_threads() == []
    watch.watch([str(spool)])
    watch.close()
    assert polling_threads() == []


def test_a_directory_that_cannot_be_polled_is_refused_and_needs_no_thread(spool: Path) -> None:
    backend = Polling()

    assert not backend.add(str(spool / "absent"))

    assert polling_threads() == []
    backend.close()
