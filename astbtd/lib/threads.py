"""Has work done in a thread of its own, which may give up for good what its caller keeps: privileges, priority.

The process does not wait for it when it ends.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class OwnThread(Generic[Result]):
    """A thread of that name, which begins with `work` at once and ends with it."""

    def __init__(self, name: str, work: Callable[[], Result]) -> None:
        self._done: list[Result] = []
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Waits for its end, no longer than so many seconds."""
        self._thread.join(seconds)

    @property
    def has_ended(self) -> bool:
        """Whether there is a result."""
        return not self._thread.is_alive()

    def result(self) -> Result:
        """What the work returned or raises; to be called once it has ended."""
        if self._failed:
            raise self._failed[0]
        return self._done[0]

    def _run(self, work: Callable[[], Result]) -> None:
        try:
            self._done.append(work())
        except BaseException as error:  # raised again where the result is asked for
            self._failed.append(error)


def in_own_thread(name: str, work: Callable[[], Result]) -> Result:
    """What `work` returns or raises, done in a thread of that name."""
    begun = OwnThread(name, work)
    begun.wait()
    return begun.result()
