"""Runs `astbtd check` beside the daemon's own work, and says once what has failed.

It is a process of its own, at idle priority: what it loads and reads is gone again from memory when it is done.
"""

import json
import threading
from collections.abc import Callable, Sequence

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError, Interrupted
from astbtd.extraction.sandbox_command import IDLE
from astbtd.lib import subprocesses
from astbtd.lib.serialization import Decoder
from astbtd.model.crash import ExtractionOutcome
from astbtd.readiness.result import Check, Name, Readiness, State

_LONGEST = 180.0  # seconds; every question in it has a limit of its own


class ReadinessMonitor:
    """One check at a time, in a thread that ends with it; `changed` hears when another thing is wrong than before.

    `argv` is the command that prints the answer as JSON.
    """

    def __init__(self, argv: Sequence[str], changed: Callable[[], None]) -> None:
        self._argv = (*IDLE, *argv)
        self._changed = changed
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._stopping = False
        self._failed: dict[Name, Check] = {}

    def ask(self) -> None:
        """Starts a check; where one runs already, another one follows it."""
        with self._lock:
            self._wanted = True
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="checker")
                self._thread.start()

    def stop(self) -> None:
        """Ends the check that runs."""
        self._stopping = True
        if thread := self._thread:
            thread.join()

    @property
    def problems(self) -> tuple[str, ...]:
        """What failed, as one sentence for people."""
        names = ", ".join(self._failed)
        return (f"the next crash gives no usable backtrace ({names}), see astbtd check",) if names else ()

    def _run(self) -> None:
        while self._next():
            try:
                self._learn(self._answer())
            except Interrupted:
                return
            except AstbtdError as error:
                journal.note(error.message, Priority.WARNING)

    def _next(self) -> bool:
        with self._lock:
            wanted, self._wanted = self._wanted and not self._stopping, False
            if not wanted:
                self._thread = None
            return wanted

    def _answer(self) -> Readiness:
        """What the command prints. Raises AstbtdError where that is no answer."""
        finished, text = subprocesses.output(self._argv, timeout=_LONGEST, watch=self._watch)
        try:
            answer = Decoder(strict=False).dataclass(Readiness, json.loads(text), "")
        except ValueError:
            answer = None
        if answer is None:
            said = text.strip().splitlines()[-1:] or [finished.ended.value]
            raise AstbtdError(f"astbtd check gave no answer: {said[0]}")
        return answer

    def _watch(self) -> ExtractionOutcome | None:
        if self._stopping:
            raise Interrupted("the daemon stops")
        return None

    def _learn(self, answer: Readiness) -> None:
        """Says what has failed since the last check, and what no longer does."""
        failed = {check.name: check for check in answer.checks if check.state is State.FAILED}
        before, self._failed = self._failed, failed
        for check in failed.values():
            if check.name not in before:
                journal.check_failed(check.name, check.found, check.remedy or "")
        for name in before:
            if name not in failed:
                journal.note(f"check {name} no longer fails", Priority.NOTICE)
        if failed.keys() != before.keys():
            self._changed()
