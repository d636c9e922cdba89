"""Waits for changes in directories, for a command that runs until it is interrupted."""

import select
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import closing

from astbtd.lib import mounts
from astbtd.lib.event_loop import WakeupDescriptor
from astbtd.watch.directory_watch import Backend, DirectoryWatch

_ENDING = (signal.SIGINT, signal.SIGTERM)
_ONLY_ERRORS = 0  # poll(2) reports a pipe without a reader and a terminal that was closed to everybody


def iter_changes(directories: Sequence[str]) -> Generator[None, None, None]:
    """Yield at once, and then each time something may have changed in the directories. They need not exist.

    End on SIGINT and SIGTERM, and when the reader of standard output has ended. `directories` are on one file system,
    and their paths contain no symbolic links.
    """
    with WakeupDescriptor(_ENDING) as wakeup, closing(DirectoryWatch(_choose_backend(directories[0]))) as watch:
        watch.watch(directories)
        output = sys.stdout.fileno()
        poll = select.poll()
        poll.register(wakeup.fileno(), select.POLLIN)
        poll.register(watch.fileno(), select.POLLIN)
        poll.register(output, _ONLY_ERRORS)
        yield
        while not {wakeup.fileno(), output} & {descriptor for descriptor, _ in poll.poll()}:
            if watch.read_hints():
                yield


def _choose_backend(directory: str) -> Backend:
    """Return inotify, or polling where other machines change the directory as well."""
    if mounts.inotify_works_on(mounts.file_system_type(directory)):
        from astbtd.watch.inotify import InotifyWithFallback

        return InotifyWithFallback()
    from astbtd.watch.polling import Polling

    return Polling()
