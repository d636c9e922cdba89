"""Sees changes through inotify, with an exact mask: one event for a core, not one for each page of it."""

import pyinotify

from astbtd.watch.backend import Event, EventKind

pyinotify.log.setLevel("CRITICAL")  # it complains of watches that end, which is daily business here

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
    """The `Backend` of directories whose every change goes through this kernel."""

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
        except UnicodeEncodeError:  # pyinotify takes only names that are text
            return False
        if descriptor >= 0:
            self._descriptors[directory] = descriptor
        return descriptor >= 0

    def remove(self, directory: str) -> None:
        """The kernel has one watch for a directory, whatever its names: the last of them ends it."""
        descriptor = self._descriptors.pop(directory)
        if descriptor not in self._descriptors.values():
            self._manager.rm_watch(descriptor, quiet=True)

    def events(self) -> list[Event]:
        whole = self._read()
        collected, self._collected[:] = list(self._collected), []
        events = [event for each in collected for event in self._translated(each)]
        return events if whole else [*events, Event(EventKind.LOST)]

    def close(self) -> None:
        self._notifier.stop()

    def _read(self) -> bool:
        """Collects what has come; False if events are missing: pyinotify gives up a batch at a name that is no text."""
        whole = True
        if self._notifier.check_events(timeout=0):
            try:
                self._notifier.read_events()
            except UnicodeDecodeError:
                whole = False
            self._notifier.process_events()
        return whole

    def _translated(self, event: pyinotify.Event) -> list[Event]:
        if event.mask & pyinotify.IN_Q_OVERFLOW:
            return [Event(EventKind.LOST)]
        names = [name for name, descriptor in self._descriptors.items() if descriptor == event.wd]
        return [Event(_what(event.mask), name, event.name or "") for name in names]


class _Collector(pyinotify.ProcessEvent):  # type: ignore[misc]  # pyinotify has no types
    """Gathers events for `Inotify.events`."""

    def __init__(self, collected: list[pyinotify.Event]) -> None:
        super().__init__()
        self._collected = collected

    def process_default(self, event: pyinotify.Event) -> None:
        self._collected.append(event)

    def process_IN_Q_OVERFLOW(self, event: pyinotify.Event) -> None:  # noqa: N802 - the name is pyinotify's
        self._collected.append(event)


def _what(mask: int) -> EventKind:
    if mask & _GONE:
        return EventKind.GONE
    return EventKind.DIRECTORY if mask & pyinotify.IN_ISDIR else EventKind.FILE
