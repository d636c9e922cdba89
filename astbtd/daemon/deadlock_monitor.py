"""Check regularly that Asterisk responds and works, and request a capture when it did not several times in a row.

The daemon has no privilege to capture a process. It requests a capture by creating a file, for which systemd starts
astbtd-deadlock.service.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from astbtd.announce import journal, systemd
from astbtd.announce.journal import Priority
from astbtd.asterisk import console, taskprocessors
from astbtd.asterisk.taskprocessors import QueueHistory
from astbtd.capture import live_process
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.deadlock_capture import AskedBy
from astbtd.pipeline.components import Components
from astbtd.pipeline.stages import console_socket, open_captures
from astbtd.settings import DeadlockSettings, Settings
from astbtd.sources.watched_directories import find_remembered_identity
from astbtd.store.captures import Captures

_DAY = timedelta(days=1)
_REQUEST_FILE = "deadlock-wanted"


@dataclass
class DeadlockMonitor:
    """Decides when to request a capture.

    `query_console` sends a command to Asterisk's console, `find_single_process` returns the pid if exactly one Asterisk
    runs, `can_capture` returns whether a process may be captured, `captures_since` how many captures a monitor has
    requested since a time. `request_capture` requests one, `log` writes a warning to the journal.
    """

    settings: DeadlockSettings
    query_console: Callable[[str], console.Answer]
    find_single_process: Callable[[], int | None]
    can_capture: Callable[[int], bool]
    captures_since: Callable[[datetime], int]
    request_capture: Callable[[int], None]
    log: Callable[[str], None]
    _timeouts: int = 0
    _queues: QueueHistory = field(default_factory=QueueHistory)
    _requested_for: int | None = None
    _last_pid: int | None = None
    _requests: list[datetime] = field(default_factory=list)

    def poll(self, now: datetime) -> None:
        """Send the commands once, and request a capture if there was something wrong often enough."""
        question, answer = self._ask()
        self._last_pid = answer.pid or self._last_pid
        if answer.in_time:
            self._timeouts = 0
            self._judge_queues(answer.pid, now)
            return
        pid = answer.pid or self.find_single_process() or self._last_pid
        if pid is None or not self.can_capture(pid):
            self._timeouts = 0
            return
        self._timeouts += 1
        if self._timeouts >= self.settings.failures:
            self._request_once(pid, now, f"has not responded {self._timeouts} times in a row to `{question}`")

    def _ask(self) -> tuple[str, console.Answer]:
        """Send the commands until one is not answered; return the last command, and its answer.

        Remember the taskprocessors where an answer lists them.
        """
        listing: dict[str, taskprocessors.Taskprocessor] = {}
        for question in (self.settings.question, *self.settings.more_questions):
            answer = self.query_console(question)
            if answer.error:
                self._queues = QueueHistory()
                return question, answer
            listing |= taskprocessors.parse(answer.text)
        self._queues = self._queues.add(answer.pid, listing)
        return question, answer

    def _judge_queues(self, pid: int | None, now: datetime) -> None:
        """Request a capture if a queue has been stuck often enough. If none is, the next trouble is a new one."""
        name, times = self._queues.longest()
        if not name:
            self._requested_for = None
        elif pid is not None and times >= self.settings.failures and self.can_capture(pid):
            self._request_once(pid, now, f"has not got through the tasks of {name} in {times} checks in a row")

    def _request_once(self, pid: int, now: datetime, trouble: str) -> None:
        if self._requested_for != pid:
            self._requested_for = pid
            self._request(pid, now, f"Asterisk (process {pid}) {trouble}")

    def _request(self, pid: int, now: datetime, trouble: str) -> None:
        """Request a capture, unless the limit per day is reached. Captures of an earlier daemon count as well."""
        since = now - _DAY
        self._requests = [at for at in self._requests if since < at <= now]  # later ones are of a clock since set back
        limit = self.settings.per_day
        if max(len(self._requests), self.captures_since(since)) >= limit:
            self.log(f"{trouble}; no capture, since there were {limit} within a day (deadlock.per_day)")
            return
        self._requests.append(now)
        self.request_capture(pid)
        self.log(f"{trouble}: requested a capture")


class DeadlockMonitorThread:
    """A thread that polls a monitor at its interval until it is stopped. It does not keep the process alive."""

    def __init__(self, monitor: DeadlockMonitor) -> None:
        self._monitor = monitor
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deadlock-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop polling. Does not wait for a poll that is in progress."""
        self._stopping.set()

    def _run(self) -> None:
        logged = ""
        while not self._stopping.wait(self._monitor.settings.interval):
            try:
                self._monitor.poll(datetime.now(UTC))
            except (AstbtdError, OSError) as error:  # such as a full disk, which may have space the next time
                if str(error) != logged:
                    logged = str(error)
                    self._monitor.log(f"the deadlock monitor failed: {logged}")


def restart(
    running: DeadlockMonitorThread | None, settings: Settings, components: Components
) -> DeadlockMonitorThread | None:
    """Stop a running monitor, and start one with new settings if these ask for it."""
    if running:
        running.stop()
    return start(
        settings,
        console_socket(settings),
        systemd.runtime_directory() or components.store.incoming,
        open_captures(components),
        lambda message: journal.log(message, Priority.WARNING),
    )


def start(
    settings: Settings, socket: Path, directory: Path, captures: Captures, log: Callable[[str], None]
) -> DeadlockMonitorThread | None:
    """Start a monitor if the settings ask for one. `socket` is Asterisk's control socket.

    Requests are created in `directory`.
    """
    deadlock = settings.deadlock
    if not deadlock.watch:
        return None
    return DeadlockMonitorThread(
        DeadlockMonitor(
            settings=deadlock,
            query_console=lambda question: console.try_ask(str(socket), None, question, deadlock.limit),
            find_single_process=lambda: _find_single_process(settings),
            can_capture=lambda pid: _can_capture(settings, pid),
            captures_since=lambda since: count_captures(captures, since),
            request_capture=lambda pid: _request_capture(directory, pid),
            log=log,
        )
    )


def _request_capture(directory: Path, pid: int) -> None:
    files.replace(directory / _REQUEST_FILE, f"{pid}\n".encode(), files.PRIVATE_FILE_MODE)


def _find_single_process(settings: Settings) -> int | None:
    running = find_remembered_identity(settings).running_asterisks(settings.asterisk.executables)
    return running[0].pid if len(running) == 1 else None


def _can_capture(settings: Settings, pid: int) -> bool:
    """Return whether a process is the PBX, exists, is not dumping core, and is not traced by a debugger."""
    if find_remembered_identity(settings).foreign_process_reason(pid) is not None:
        return False
    try:
        with live_process.open_process(pid) as process:
            return not process.is_stopped()
    except AstbtdError:
        return False


def count_captures(captures: Captures, since: datetime) -> int:
    """Count the captures within a day after `since` that a monitor has requested."""
    count = 0
    for capture_id in captures.ids():
        if since < captures.captured_at(capture_id) <= since + _DAY:
            with suppress(AstbtdError):  # a damaged record
                count += captures.load(capture_id).asked_by is AskedBy.WATCH
    return count
