"""Asks Asterisk for a sign of life at an interval, and for a capture once it gave none several times in a row.

It may not capture itself: it asks by a file, at whose sight systemd starts astbtd-deadlock.service.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from astbtd.asterisk import asterisk_processes, console
from astbtd.capture import live_process
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.deadlock_capture import AskedBy
from astbtd.settings import DeadlockSettings, Settings
from astbtd.store.captures import Captures

_DAY = timedelta(days=1)
_REQUEST = "deadlock-wanted"


@dataclass
class DeadlockMonitor:
    """One watch: its settings, what it learns by, and what it does.

    `ask` gives Asterisk's answer, `only_one` the pid if one Asterisk runs, `fit` whether a process is to be captured,
    `lately` how many captures a watch got since a moment; `request` asks for one, `tell` says so.
    """

    settings: DeadlockSettings
    ask: Callable[[], console.Answer]
    only_one: Callable[[], int | None]
    fit: Callable[[int], bool]
    lately: Callable[[datetime], int]
    request: Callable[[int], None]
    tell: Callable[[str], None]
    _failures: int = 0
    _asked_for: int | None = None
    _pid: int | None = None
    _requests: list[datetime] = field(default_factory=list)

    def look(self, now: datetime) -> None:
        """Asks once, and draws the conclusion."""
        answer = self.ask()
        self._pid = answer.pid or self._pid
        if answer.in_time:
            self._failures, self._asked_for = 0, None
            return
        pid = answer.pid or self.only_one() or self._pid
        if pid is None or not self.fit(pid):
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= self.settings.failures and self._asked_for != pid:
            self._asked_for = pid
            self._want(pid, now)

    def _want(self, pid: int, now: datetime) -> None:
        since = now - _DAY
        self._requests = [moment for moment in self._requests if since < moment <= now]  # a clock may be set back
        silent = f"Asterisk (process {pid}) has not answered {self._failures} times in a row"
        if max(len(self._requests), self.lately(since)) >= self.settings.per_day:
            self.tell(f"{silent}; no capture, since there were {self.settings.per_day} within a day (deadlock.per_day)")
            return
        self._requests.append(now)
        self.request(pid)
        self.tell(f"{silent}: a capture is asked for")


class DeadlockMonitorThread:
    """A thread that lets a watch look at its interval until it is stopped; it ends with the program at the latest."""

    def __init__(self, watch: DeadlockMonitor) -> None:
        self._watch = watch
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deadlock-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it after the answer that it may be waiting for."""
        self._stopping.set()

    def _run(self) -> None:
        said = ""
        while not self._stopping.wait(self._watch.settings.interval):
            try:
                self._watch.look(datetime.now(UTC))
            except (AstbtdError, OSError) as error:  # such as a full disk, which is none the next time
                if str(error) != said:
                    said = str(error)
                    self._watch.tell(f"the watch for deadlocks cannot do its work: {said}")


def start(
    settings: Settings, path: Path, directory: Path, captures: Captures, tell: Callable[[str], None]
) -> DeadlockMonitorThread | None:
    """Starts the watch that the settings want, on the console at `path`; requests are made in `directory`."""
    wanted = settings.deadlock
    if not wanted.watch:
        return None
    return DeadlockMonitorThread(
        DeadlockMonitor(
            settings=wanted,
            ask=lambda: console.ask_patiently(str(path), None, wanted.question, wanted.limit),
            only_one=lambda: _only_one(settings),
            fit=_fit,
            lately=lambda since: _watched(captures, since),
            request=lambda pid: files.replace(directory / _REQUEST, f"{pid}\n".encode(), files.PRIVATE_FILE_MODE),
            tell=tell,
        )
    )


def _only_one(settings: Settings) -> int | None:
    running = asterisk_processes.running(settings.asterisk.executables)
    return running[0].pid if len(running) == 1 else None


def _fit(pid: int) -> bool:
    """Whether a process lives, writes no core and is in nobody's debugger."""
    try:
        with live_process.opened(pid) as process:
            return not process.is_stopped()
    except AstbtdError:
        return False


def _watched(captures: Captures, since: datetime) -> int:
    """How many captures there were in the day from then on that a watch had asked for."""
    count = 0
    for capture_id in captures.ids():
        if since < captures.moment(capture_id) <= since + _DAY:
            with suppress(AstbtdError):  # a damaged record
                count += captures.load(capture_id).asked_by is AskedBy.WATCH
    return count
