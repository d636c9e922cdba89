"""Collects what Asterisk and its unit logged before a crash: the content of log.txt.

Asterisk's logs belong to its user, and are read by `asterisk/log_tail.py` with that user's rights. Which logs there are
is asked again if their configuration has changed.
"""

import errno
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from astbtd.asterisk import asterisk_processes, log_tail
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import IDLE_PRIORITY, SandboxUser, setpriv_command
from astbtd.lib import subprocesses
from astbtd.lib.escaping import printable
from astbtd.lib.mounts import Mounts
from astbtd.lib.quantities import format_local
from astbtd.model.crash import CoreFacts, ExtractionOutcome
from astbtd.settings import Settings

_SECONDS = 10.0
_LIMITS = ("prlimit", f"--as={256 << 20}", "--cpu=5", f"--fsize={1 << 20}", "--core=0", "--nofile=16")
_MAX_LINE = 2000  # characters
_MAX_KNOWN_FILES = 16
_STAMPS = (
    ("%Y %b %d %H:%M:%S", re.compile(r"\[([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)")),
    ("%Y-%m-%d %H:%M:%S", re.compile(r"\[?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")),
    ("%Y-%m-%dT%H:%M:%S", re.compile(r"\[?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")),
)

Entries = Callable[[Sequence[Mapping[str, str]], float, int], Iterable[Mapping[str, object]]]
"""Returns the last journal entries that match one of the queries, before a time in seconds since 1970, oldest first."""


@dataclass(frozen=True)
class LogReader:
    """Reads logs with the rights of `user`. `lines` is the number of lines of each source."""

    user: SandboxUser
    configuration: Path
    lines: int

    def asterisk_log(self, until: datetime) -> str:
        """Return the end of Asterisk's own log before `until`, below a title; an empty text if there is none."""
        paths = [path for path in self._paths() if not self._is_remote(path)]
        while paths:
            path, _, text = (_ask(self.user, "tail", *paths) or "").partition("\n")
            if path not in paths:
                break
            lines = last_lines(text, until, self.lines)
            if lines:
                return _titled(f"Asterisk's log {path}", lines, until)
            paths = paths[paths.index(path) + 1 :]  # that log begins later
        return ""

    def _paths(self) -> Sequence[str]:
        if self._is_remote(str(self.configuration)):
            return ()
        logger = self.configuration.with_name("logger.conf")
        with suppress(OSError):
            return _list_logs(self.user, str(logger), self._log_directory(), *_version(logger))
        return ()

    def _log_directory(self) -> str:
        try:
            found = asterisk_processes.read_setting(self.configuration, "directories", "astlogdir")
        except OSError:
            found = None
        return found if found and found.startswith("/") else "/var/log/asterisk"

    def _is_remote(self, path: str) -> bool:
        """Return whether reading may block for ever, because a file server is down."""
        mounts = Mounts.current()
        return bool(mounts.remote_mount(mounts.resolve_links(path)))


@lru_cache(_MAX_KNOWN_FILES)
def _list_logs(user: SandboxUser, configuration: str, directory: str, *_: int) -> tuple[str, ...]:
    """Return the paths of the logs, the most detailed first. The other arguments differ if the file was changed.

    Raise OSError: a file that cannot be read now is read again by the next call.
    """
    listed = _ask(user, "paths", configuration, directory)
    if listed is None:
        raise OSError(errno.EIO, "cannot be read", configuration)
    return tuple(listed.splitlines())


def _version(path: Path) -> tuple[int, ...]:
    """Return numbers that are different when a file was changed; none if there is no file."""
    try:
        status = path.lstat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _ask(user: SandboxUser, *arguments: str) -> str | None:
    """Return what `asterisk/log_tail.py` prints, None if it fails."""
    python = [os.path.realpath(sys.executable), "-I", "-S", "-c", inspect.getsource(log_tail)]
    command = [*IDLE_PRIORITY, *setpriv_command(user), *_LIMITS, *python, *arguments]
    try:
        finished, text = subprocesses.output(command, timeout=_SECONDS)
    except AstbtdError:
        return None
    return text if finished.ended is ExtractionOutcome.OK else None


def unit_journal(unit: str, until: datetime, lines: int, entries: Entries | None = None) -> str:
    """Return the end of a unit's journal before `until`, below a title; an empty text if there is none."""
    queries = [{"_SYSTEMD_UNIT": unit}, {"UNIT": unit, "_PID": "1"}]
    try:
        found = [_format_entry(entry) for entry in (entries or _journal_entries)(queries, until.timestamp(), lines)]
    except (OSError, AstbtdError, ImportError):
        return ""
    return _titled(f"The journal of {unit}", found, until) if found else ""


def last_lines(text: str, until: datetime, count: int) -> list[str]:
    """Return the last lines of a log before `until`. A line without a time belongs to the line before."""
    kept: list[str] = []
    is_before = True
    for line in text.split("\n"):
        moment = _time_of(line, until)
        is_before = is_before if moment is None else moment <= until
        if is_before and line:
            kept.append(_shorten(printable(line)))
    return kept[-count:] if count else []


def _time_of(line: str, until: datetime) -> datetime | None:
    """Return when a line was logged: in local time, and in the year that makes it no later than a day after `until`."""
    for form, stamp in _STAMPS:
        if found := stamp.match(line):
            return _parse_stamp(found[1], form, until)
    return None


def _parse_stamp(text: str, form: str, until: datetime) -> datetime | None:
    year = until.astimezone().year
    try:
        if not form.startswith("%Y %b"):
            return datetime.strptime(text, form).astimezone(UTC)
        this_year = datetime.strptime(f"{year} {text}", form).astimezone(UTC)
        return this_year if (this_year - until).days < 1 else this_year.replace(year=year - 1)
    except (ValueError, OverflowError):
        return None


def _format_entry(entry: Mapping[str, object]) -> str:
    at, program = entry.get("__REALTIME_TIMESTAMP"), entry.get("SYSLOG_IDENTIFIER", "")
    stamp = f"{at.astimezone():%Y-%m-%d %H:%M:%S} " if isinstance(at, datetime) else ""
    return _shorten(f"{stamp}{printable(str(program))}: {printable(str(entry.get('MESSAGE', '')))}".replace("\n", " "))


def _titled(title: str, lines: Sequence[str], until: datetime) -> str:
    return "\n".join((f"{title}, the last lines before {format_local(until)}:", *lines, ""))


def _shorten(line: str) -> str:
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]} ... ({len(line) - _MAX_LINE} more characters)"


def read_asterisk_log(settings: Settings, facts: CoreFacts, sandbox: SandboxUser) -> str:
    """Return the end of Asterisk's own log for log.txt; an empty text if there is none, or none is wanted.

    It is read as the user that Asterisk ran as. If that was root, or if we are not, it is read as `sandbox`.
    """
    lines = _wanted_lines(settings, facts)
    if lines == 0:
        return ""
    configuration = Path(settings.asterisk.configuration)
    return LogReader(_log_user(facts, sandbox), configuration, lines).asterisk_log(facts.crashed_at)


def read_unit_journal(settings: Settings, facts: CoreFacts, unit: str | None) -> str:
    """Return the end of the journal of Asterisk's unit for log.txt; an empty text as above."""
    lines = _wanted_lines(settings, facts)
    return unit_journal(unit, facts.crashed_at, lines) if unit and lines else ""


def _wanted_lines(settings: Settings, facts: CoreFacts) -> int:
    """Return how many lines of each log are wanted: none of a container, whose logs are not on this machine."""
    return 0 if facts.process.container else settings.extract.log


def _log_user(facts: CoreFacts, sandbox: SandboxUser) -> SandboxUser:
    uid, gid = facts.process.uid, facts.process.gid
    if not sandbox.switched or not uid or not gid:
        return sandbox
    return SandboxUser(uid, gid, switched=True)


def _journal_entries(queries: Sequence[Mapping[str, str]], until: float, count: int) -> Iterable[Mapping[str, object]]:
    from astbtd.announce import systemd  # the bindings may be missing where only reports are read

    return systemd.entries_before(queries, until, count)
