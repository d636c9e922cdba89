"""Watch directories by polling, where inotify does not see all changes. There is no thread while nothing is polled."""

import os
from contextlib import suppress
from queue import Empty, SimpleQueue

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import ObservedWatch
from watchdog.observers.polling import PollingObserver

from astbtd.watch.directory_watch import Event, EventKind

_INTERVAL = 2.0  # seconds: Asterisk, once restarted, may overwrite its core a moment later


class Polling:
    """The `Backend` for file systems that other machines change as well. Polls every `interval` seconds."""

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._observer: PollingObserver | None = None
        self._watches: dict[str, ObservedWatch] = {}
        self._queue: SimpleQueue[FileSystemEvent] = SimpleQueue()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handler = _Handler(self._queue, self._eventfd)

    def fileno(self) -> int:
        return self._eventfd

    def add(self, directory: str) -> bool:
        observer = self._observer or self._start()
        try:
            watch = observer.schedule(self._handler, directory, recursive=False)
        except OSError:  # the directory cannot be read
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

    def read_events(self) -> list[Event]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        events = []
        with suppress(Empty):
            while True:
                events += self._translate(self._queue.get_nowait())
        return events

    def close(self) -> None:
        self._watches.clear()
        self._stop_if_idle()
        os.close(self._eventfd)

    def _start(self) -> PollingObserver:
        self._observer = PollingObserver(timeout=self._interval)
        self._observer.name = "polling"
        self._observer.start()
        return self._observer

    def _stop_if_idle(self) -> None:
        if self._observer and not self._watches:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def _translate(self, event: FileSystemEvent) -> list[Event]:
        old_path = os.fsdecode(event.src_path)
        new_path = os.fsdecode(getattr(event, "dest_path", "") or old_path)
        if event.is_directory and event.event_type in ("deleted", "moved") and old_path in self._watches:
            # A directory in a polled directory may be polled itself: either of the two may notice that it is gone.
            return [Event(EventKind.GONE, old_path)]
        directory, name = os.path.split(new_path)
        if directory not in self._watches:
            return []
        if event.is_directory and event.event_type in ("created", "moved"):
            return [Event(EventKind.DIRECTORY, directory, name)]
        if not event.is_directory and event.event_type in ("created", "modified", "moved"):
            return [Event(EventKind.FILE, directory, name)]
        return []


class _Handler(FileSystemEventHandler):
    """Passes events from watchdog's threads to the thread that reads them."""

    def __init__(self, queue: "SimpleQueue[FileSystemEvent]", eventfd: int) -> None:
        self._queue = queue
        self._eventfd = eventfd

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._queue.put(event)
        os.eventfd_write(self._eventfd, 1)
