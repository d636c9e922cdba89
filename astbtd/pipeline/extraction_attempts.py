"""The attempts to repeat extractions without a command: a budget for each hour, and a limit for each crash.

A file in the store has them, so that neither a restart nor a kill of the daemon makes more of them.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from astbtd.lib import files, json_file
from astbtd.store.store import Store

MOST_FAILURES = 3
"""The number of attempts after which a crash is given up if none of them came to an end."""

_HOUR = 3600.0


@dataclass(frozen=True)
class _State:
    """When extractions began within the last hour, in seconds since 1970; by crash, how many did not come to an end."""

    began: tuple[float, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ExtractionAttempts:
    """At most `per_hour` attempts within an hour. `now` returns the time in seconds since 1970."""

    store: Store
    per_hour: int
    now: Callable[[], float]

    def begin(self, crash_id: str) -> bool:
        """Note durably that an attempt begins, unless the budget of this hour is used up. Raise NoRoom."""
        state, now = self._read(), self.now()
        began = tuple(each for each in state.began if now - _HOUR < each <= now)  # none of a clock that was wrong
        if len(began) >= self.per_hour:
            return False
        failures = {each: count for each, count in state.failures.items() if self.store.has_core(each)}
        failures[crash_id] = failures.get(crash_id, 0) + 1
        self._write(_State((*began, now), failures))
        return True

    def end(self, crash_id: str) -> None:
        """Note that the last attempt at a crash came to an end, or that it will be given up."""
        state = self._read()
        failures = {each: count for each, count in state.failures.items() if each != crash_id}
        self._write(_State(state.began, failures))

    def failures(self, crash_id: str) -> int:
        """Return how many attempts at a crash did not come to an end, the current one included."""
        return self._read().failures.get(crash_id, 0)

    def _read(self) -> _State:
        """Read the file. If it is missing or damaged, there were no attempts."""
        with suppress(FileNotFoundError, ValueError):
            return json_file.decode(self._path.read_bytes(), _State)
        return _State()

    def _write(self, state: _State) -> None:
        with files.wrap_os_error(f"cannot write {self._path}"):
            json_file.replace(self._path, state)

    @property
    def _path(self) -> Path:
        return self.store.incoming / "extraction-attempts"
