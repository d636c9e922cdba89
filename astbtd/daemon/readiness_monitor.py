"""Run `astbtd check` in the background, and log each failed check once.

The check is a process of its own, at idle priority: the memory that it needs is free again when it has ended.
"""

import threading
from collections.abc import Callable, Sequence

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError, Interrupted
from astbtd.extraction.sandbox_command import IDLE_PRIORITY
from astbtd.lib import json_file, scheduling, subprocesses
from astbtd.model.crash import ExtractionOutcome
from astbtd.model.daemon_state import FailedCheck
from astbtd.readiness.result import Check, Name, Readiness, State

_TIMEOUT = 180.0  # seconds; every part of the check has a limit of its own


class ReadinessMonitor:
    """Runs one check at a time, in a thread that ends with it.

    `argv` is the command, which prints its result as JSON. `on_change` is called, in that thread, when the result is
    another than before.
    """

    def __init__(self, argv: Sequence[str], on_change: Callable[[], None]) -> None:
        self._argv = (*IDLE_PRIORITY, *argv)
        self._on_change = on_change
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._requested = False
        self._stopping = False
        self._failed: dict[Name, Check] = {}
        self._usable: bool | None = None
        self._is_known = False

    def request_check(self) -> None:
        """Start a check. If one is running, start another one after it."""
        with self._lock:
            self._requested = True
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="readiness")
                self._thread.start()

    def stop(self) -> None:
        """End the running check, and wait for its thread."""
        self._stopping = True
        if thread := self._thread:
            thread.join()

    @property
    def usable(self) -> bool | None:
        """Whether the next crash will give a usable backtrace, by the last check; None if that is not known."""
        return self._usable

    @property
    def failed(self) -> tuple[FailedCheck, ...] | None:
        """The checks that fail; None before the first check."""
        if not self._is_known:
            return None
        return tuple(FailedCheck(each.name, each.found, each.remedy or "") for each in self._failed.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """The failed checks, as one sentence for people; empty if there are none."""
        if not self._failed:
            return ()
        return (f"the next crash will not give a usable backtrace ({', '.join(self._failed)}), see astbtd check",)

    def _run(self) -> None:
        scheduling.let_others_preempt()
        while self._take_request():
            try:
                self._report_changes(self._run_check())
            except Interrupted:
                return
            except AstbtdError as error:
                journal.log(error.message, Priority.WARNING)

    def _take_request(self) -> bool:
        """Return whether to run another check; if not, the thread must end, and the next request starts a new one."""
        with self._lock:
            requested = self._requested and not self._stopping
            self._requested = False
            if not requested:
                self._thread = None
            return requested

    def _run_check(self) -> Readiness:
        """Run the command and parse its output. Raises AstbtdError if that is not valid."""
        finished, text = subprocesses.output(self._argv, timeout=_TIMEOUT, watch=self._raise_if_stopping)
        try:
            return json_file.decode(text, Readiness)
        except ValueError as error:
            last_line = text.strip().splitlines()[-1:] or [finished.ended.value]
            raise AstbtdError(f"astbtd check failed: {last_line[0]}") from error

    def _raise_if_stopping(self) -> ExtractionOutcome | None:
        if self._stopping:
            raise Interrupted("the daemon stops")
        return None

    def _report_changes(self, result: Readiness) -> None:
        """Log the checks that have failed since the last time, and those that no longer fail."""
        was_known, self._is_known = self._is_known, True
        usable_before, self._usable = self._usable, result.usable
        failed = {check.name: check for check in result.checks if check.state is State.FAILED}
        previous, self._failed = self._failed, failed
        for name in [name for name in failed if name not in previous]:
            journal.announce_failed_check(name, failed[name].found, failed[name].remedy or "")
        for name in [name for name in previous if name not in failed]:
            journal.log(f"check {name} no longer fails", Priority.NOTICE)
        if failed.keys() != previous.keys() or result.usable != usable_before or not was_known:
            self._on_change()
