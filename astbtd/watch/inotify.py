"""Watch directories with inotify, and by polling where the kernel grants no more watches.

The event mask is exact: there is one event for a core, not one for each of its pages.
"""

import select
from typing import TYPE_CHECKING

import pyinotify

from astbtd.watch.directory_watch import Event, EventKind

if TYPE_CHECKING:
    from astbtd.watch.polling import Polling

pyinotify.log.setLevel("CRITICAL")  # it logs every watch that ends, which is normal here

_GONE = pyinotify.IN_DELETE_SELF | pyinotify.IN_MOVE_SELF | pyinotify.IN_UNMOUNT | pyinotify.IN_IGNORED
_MASK = (
    pyinotify.IN_CLOSE_WRITE
    | pyinotify.IN_MOVED_TO
    | pyinotify.IN_CREATE
    | pyinotify.IN_DELETE_SELF
    | pyinotify.IN_MOVE_SELF
    | pyinotify.IN_ONLYDIR
)


class Inotify:
    """The `Backend` for local file systems, where all changes go through this kernel. Raises OSError if refused."""

    def __init__(self) -> None:
        self._manager = pyinotify.WatchManager()
        self._collected: list[pyinotify.Event] = []
        self._notifier = pyinotify.Notifier(self._manager, _Collector(self._collected))
        self._descriptors: dict[str, int] = {}

    def fileno(self) -> int:
        return int(self._manager.get_fd())

    def add(self, directory: str) -> bool:
        try:
            descriptor = int(self._manager.add_watch(directory, _MASK).get(directory, -1))
        except UnicodeEncodeError:  # pyinotify accepts only names that can be encoded
            return False
        if descriptor >= 0:
            self._descriptors[directory] = descriptor
        return descriptor >= 0

    def remove(self, directory: str) -> None:
        """End the watch on a directory. The kernel has one watch for all paths of a directory: the last one ends it."""
        descriptor = self._descriptors.pop(directory)
        if descriptor not in self._descriptors.values():
            self._manager.rm_watch(descriptor, quiet=True)

    def read_events(self) -> list[Event]:
        complete = self._collect()
        collected, self._collected[:] = list(self._collected), []
        events = [event for raw in collected for event in self._translate(raw)]
        return events if complete else [*events, Event(EventKind.LOST)]

    def close(self) -> None:
        self._notifier.stop()

    def _collect(self) -> bool:
        """Read all pending events. Return False if some are missing: pyinotify drops a batch with an invalid name."""
        complete = True
        if self._notifier.check_events(timeout=0):
            try:
                self._notifier.read_events()
            except UnicodeDecodeError:
                complete = False
            self._notifier.process_events()
        return complete

    def _translate(self, event: pyinotify.Event) -> list[Event]:
        if event.mask & pyinotify.IN_Q_OVERFLOW:
            return [Event(EventKind.LOST)]
        directories = [path for path, descriptor in self._descriptors.items() if descriptor == event.wd]
        return [Event(_kind(event.mask), directory, event.name or "") for directory in directories]


class _Collector(pyinotify.ProcessEvent):  # type: ignore[misc]  # pyinotify has no types
    """Collects events for `Inotify.read_events`."""

    def __init__(self, collected: list[pyinotify.Event]) -> None:
        super().__init__()
        self._collected = collected

    def process_default(self, event: pyinotify.Event) -> None:
        self._collected.append(event)

    def process_IN_Q_OVERFLOW(self, event: pyinotify.Event) -> None:  # noqa: N802 - the name is pyinotify's
        self._collected.append(event)


def _kind(mask: int) -> EventKind:
    if mask & _GONE:
        return EventKind.GONE
    return EventKind.DIRECTORY if mask & pyinotify.IN_ISDIR else EventKind.FILE


class InotifyWithFallback:
    """The `Backend` for local file systems, which polls the directories for which inotify is refused.

    The limits are fs.inotify.max_user_instances and max_user_watches. All programs of root share them.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._inotify = self._start_inotify()
        self._polling: Polling | None = None
        self._polled: set[str] = set()

    @property
    def polled(self) -> frozenset[str]:
        """The directories for which inotify was refused."""
        return frozenset(self._polled)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def add(self, directory: str) -> bool:
        if self._inotify and self._inotify.add(directory):
            return True
        if not self._start_polling().add(directory):
            return False
        self._polled.add(directory)
        return True

    def remove(self, directory: str) -> None:
        if directory in self._polled:
            self._polled.remove(directory)
            self._start_polling().remove(directory)
        elif self._inotify:
            self._inotify.remove(directory)

    def retry_inotify(self) -> None:
        """Try inotify again for the polled directories. Events may be lost meanwhile: scan the directories after it."""
        self._inotify = self._inotify or self._start_inotify()
        for directory in self.polled:
            if self._inotify and self._inotify.add(directory):
                self._polled.remove(directory)
                self._start_polling().remove(directory)

    def read_events(self) -> list[Event]:
        backends = [backend for backend in (self._inotify, self._polling) if backend]
        return [event for backend in backends for event in backend.read_events()]

    def close(self) -> None:
        for backend in (self._inotify, self._polling):
            if backend:
                backend.close()
        self._epoll.close()

    def _start_inotify(self) -> Inotify | None:
        try:
            inotify = Inotify()
        except OSError:
            return None
        self._epoll.register(inotify.fileno(), select.EPOLLIN)
        return inotify

    def _start_polling(self) -> "Polling":
        """Return the polling backend, which is created when it is needed for the first time."""
        if self._polling is None:
            from astbtd.watch.polling import Polling  # imports watchdog, which most machines never need

            self._polling = Polling()
            self._epoll.register(self._polling.fileno(), select.EPOLLIN)
        return self._polling
