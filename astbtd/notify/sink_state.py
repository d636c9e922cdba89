"""The durable state of each sink: how far it has delivered, and when it is tried again.

DIRECTORY/NAME.json, written by the networked unit. The unit that writes the spool reads them too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files, json_file

_SUFFIX = ".json"
_LARGEST = 1 << 16  # bytes
_EVERYBODY_ENTERS = 0o755


@dataclass(frozen=True)
class SinkState:
    """The state of one sink. The defaults are those of a sink that was never used.

    Entries of the spool up to `mark` are done. `delivered` and `refused` count notifications, `failures` all failed
    attempts. `failing_since`, `attempts` and `reason` are those of the current series of failures; there is none if
    `failing_since` is None. It is not tried before `next_attempt`. `given_up`: it has failed for a week, and is tried
    again only for entries after this one.
    """

    mark: str = ""
    delivered: int = 0
    refused: int = 0
    failures: int = 0
    failing_since: datetime | None = None
    attempts: int = 0
    reason: str = ""
    next_attempt: datetime | None = None
    given_up: str | None = None
    remark: str = ""

    @property
    def is_failing(self) -> bool:
        """Return whether an attempt has failed since the last success. One that was interrupted gives no reason."""
        return self.reason != ""


@dataclass(frozen=True)
class SinkStates:
    """The states of all sinks, in `directory`."""

    directory: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the one process that delivers. Raise AstbtdError if another one does."""
        with files.wrap_os_error(f"cannot use {self.directory}"):
            if not self.directory.is_dir():  # systemd makes it for the unit, as a link
                files.make_directory(self.directory, _EVERYBODY_ENTERS)
        try:
            with files.locked(self.directory / "lock", wait=False):
                yield
        except BlockingIOError as error:
            raise AstbtdError("notifications are being delivered already") from error

    def read(self, sink: str) -> SinkState:
        """Return the state of a sink, a new one if it has none. Raise AstbtdError if it is damaged or unreadable."""
        path = self._path(sink)
        try:
            return json_file.read(path, SinkState, _LARGEST)
        except json_file.Missing:
            return SinkState()
        except json_file.Damaged as error:
            remedy = f"if the disk is healthy, remove {path}: what waits is then delivered, some of it perhaps twice"
            raise AstbtdError(f"cannot read the state of a sink: {error.message}", remedy) from error

    def write(self, sink: str, state: SinkState) -> None:
        """Replace the state of a sink, durably. Raise AstbtdError; NoRoom if the disk is full."""
        path = self._path(sink)
        with files.wrap_os_error(f"cannot write {path}"):
            json_file.replace(path, state, files.EVERYBODY_READS)

    def lowest_mark(self, sinks: list[str]) -> str:
        """Return the newest entry of the spool that every one of these sinks is done with. Raise AstbtdError."""
        return min((self.read(sink).mark for sink in sinks), default="")

    def _path(self, sink: str) -> Path:
        return self.directory / f"{sink}{_SUFFIX}"
