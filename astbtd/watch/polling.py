"""Sees changes by looking again and again, where inotify is blind; runs no thread while nothing is to be looked at."""

import os
from contextlib import suppress
from queue import Empty, SimpleQueue

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import ObservedWatch
from watchdog.observers.polling import PollingObserver

from astbtd.watch.backend import Event, EventKind

_SECONDS = 2.0
"""Between two looks: Asterisk, restarted, may overwrite its core a moment later."""


class Polling:
    """The `Backend` of directories in which others than this kernel make changes; `seconds` are between two looks."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._observer: PollingObserver | None = None
        self._watches: dict[str, ObservedWatch] = {}
        self._seen: SimpleQueue[FileSystemEvent] = SimpleQueue()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handler = _Handler(self._seen, self._wakeup)

    def fileno(self) -> int:
        return self._wakeup

    def add(self, directory: str) -> bool:
        observer = self._observer or self._start()
        try:
            watch = observer.schedule(self._handler, directory, recursive=False)
        except OSError:  # from the first look
            self._stop_if_idle()
            return False
        self._watches[directory] = watch
        for emitter in observer.emitters:
            emitter.name = f"polling {emitter.watch.path}"
        return True

    def remove(self, directory: str) -> None:
        watch = self._watches.pop(directory)
        if self._observer:
            self._observer.unschedule(watch)
        self._stop_if_idle()

    def events(self) -> list[Event]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)
        translated = []
        with suppress(Empty):
            while True:
                translated += self._translated(self._seen.get_nowait())
        return translated

    def close(self) -> None:
        self._watches.clear()
        self._stop_if_idle()
        os.close(self._wakeup)

    def _start(self) -> PollingObserver:
        self._observer = PollingObserver(timeout=self._seconds)
        self._observer.name = "polling"
        self._observer.start()
        return self._observer

    def _stop_if_idle(self) -> None:
        if self._observer and not self._watches:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def _translated(self, event: FileSystemEvent) -> list[Event]:
        """A directory within a polled one may be polled itself: either poll may be the first to miss it."""
        path = os.fsdecode(event.src_path)
        if event.is_directory and event.event_type in ("deleted", "moved") and path in self._watches:
            return [Event(EventKind.GONE, path)]
        if event.event_type not in ("created", "modified", "moved"):
            return []
        directory, name = os.path.split(os.fsdecode(getattr(event, "dest_path", "") or path))
        if directory not in self._watches:
            return []
        if event.is_directory:
            return [Event(EventKind.DIRECTORY, directory, name)] if event.event_type != "modified" else []
        return [Event(EventKind.FILE, directory, name)]


class _Handler(FileSystemEventHandler):
    """Hands what watchdog's threads see to the main loop."""

    def __init__(self, seen: "SimpleQueue[FileSystemEvent]", wakeup: int) -> None:
        self._seen = seen
        self._wakeup = wakeup

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._seen.put(event)
        os.eventfd_write(self._wakeup, 1)
