"""Sees changes through inotify, and by looking again and again where the kernel grants no more of that.

The limits are fs.inotify.max_user_instances and max_user_watches: all programs of root share them.
"""

import select
from typing import TYPE_CHECKING

from astbtd.watch.backend import Event
from astbtd.watch.inotify import Inotify

if TYPE_CHECKING:
    from astbtd.watch.polling import Polling


class InotifyWithFallback:
    """The `Backend` of directories whose every change goes through this kernel."""

    def __init__(self) -> None:
        self._ready = select.epoll()
        self._inotify = self._granted()
        self._polling: Polling | None = None
        self._polled: set[str] = set()

    @property
    def polled(self) -> frozenset[str]:
        """The directories for which inotify was not granted."""
        return frozenset(self._polled)

    def fileno(self) -> int:
        return self._ready.fileno()

    def add(self, directory: str) -> bool:
        if self._inotify and self._inotify.add(directory):
            return True
        if not self._poll().add(directory):
            return False
        self._polled.add(directory)
        return True

    def remove(self, directory: str) -> None:
        if directory in self._polled:
            self._polled.remove(directory)
            self._poll().remove(directory)
        elif self._inotify:
            self._inotify.remove(directory)

    def ask_again(self) -> None:
        """Asks for inotify where it was not granted; what happens meanwhile may go unseen."""
        self._inotify = self._inotify or self._granted()
        for directory in self.polled:
            if self._inotify and self._inotify.add(directory):
                self._polled.remove(directory)
                self._poll().remove(directory)

    def events(self) -> list[Event]:
        return [event for backend in (self._inotify, self._polling) if backend for event in backend.events()]

    def close(self) -> None:
        for backend in (self._inotify, self._polling):
            if backend:
                backend.close()
        self._ready.close()

    def _granted(self) -> Inotify | None:
        try:
            inotify = Inotify()
        except OSError:
            return None
        self._ready.register(inotify.fileno(), select.EPOLLIN)
        return inotify

    def _poll(self) -> "Polling":
        if self._polling is None:
            from astbtd.watch.polling import Polling  # brings watchdog, which most machines never need

            self._polling = Polling()
            self._ready.register(self._polling.fileno(), select.EPOLLIN)
        return self._polling
