"""Run a function in a thread that may irrevocably give up what its caller keeps: privileges, priority.

The process does not wait for such a thread when it exits.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

Result = TypeVar("Result")


class ThreadTask(Generic[Result]):
    """A function that runs in a thread of its own, named `name`. It starts at once."""

    def __init__(self, name: str, function: Callable[[], Result]) -> None:
        self._results: list[Result] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(function,), name=name, daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the function has ended, at most `seconds`."""
        self._thread.join(seconds)

    @property
    def has_ended(self) -> bool:
        """True once `result` may be called."""
        return not self._thread.is_alive()

    def result(self) -> Result:
        """Return what the function returned, or raise what it raised. Call this only after it has ended."""
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self, function: Callable[[], Result]) -> None:
        try:
            self._results.append(function())
        except BaseException as error:  # raised again by `result`, in the caller's thread
            self._errors.append(error)


def run_in_thread(name: str, function: Callable[[], Result]) -> Result:
    """Run `function` in a new thread, wait for it, and return or raise what it returned or raised."""
    task = ThreadTask(name, function)
    task.wait()
    return task.result()


def run_at_idle_priority(name: str, function: Callable[[], Result]) -> Result:
    """Do what `run_in_thread` does, in a thread that runs only while no other program needs the processor.

    `function` must spend its time outside the interpreter: a thread that waits for a processor may hold its lock.
    """

    def run() -> Result:
        with suppress(OSError):  # a container may forbid it
            # This applies to the current thread only, which cannot raise its priority again.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return function()

    return run_in_thread(name, run)


@contextmanager
def lasting_thread(name: str, function: Callable[[], Result]) -> Iterator[Result]:
    """Run `function` in a new thread that ends only when the block ends; yield or raise what it returned or raised."""
    has_run, block_ended = threading.Event(), threading.Event()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        has_run.set()
        block_ended.wait()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        has_run.wait()
        if errors:
            raise errors[0]
        yield results[0]
    finally:
        block_ended.set()
        thread.join()
