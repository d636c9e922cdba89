"""The records that retention has removed, for readers that must know of every crash, such as the notifications.

A crash with a signature leaves a gap in the numbers of its signature. A crash without one would leave no trace.
The file has a line `NUMBER ID SIGNATURE` for each, in the order of removal; `-` stands for no signature. A
fourth word is the id of the record without a core, of the same death, that this one had replaced.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import files

_MOST = 10_000  # lines; twice as many before the list is shortened
_LONGEST_LINE = 200  # bytes
_NO_SIGNATURE = "-"


@dataclass(frozen=True)
class RemovedRecord:
    """A removed record: its number in the list, the id of the crash, its signature and what it had replaced, if any."""

    number: int
    id: str
    signature: str | None
    replaces: str | None = None


@dataclass(frozen=True)
class RemovedRecords:
    """The list of the store in `root`; members of the group with the id `group` can read it."""

    root: Path
    group: int = -1

    def add(self, crash_id: str, signature: str | None, replaces: str | None = None) -> None:
        """Add a record, durably. The caller must hold the lock for changes of the store. Raise OSError."""
        number = self._last_number() + 1
        line = f"{number} {crash_id} {signature or _NO_SIGNATURE} {replaces or ''}".rstrip()
        files.append_line(self.path, line, files.FILE_MODE, self.group)
        if number % _MOST == 0:
            self._shorten()

    def after(self, number: int) -> list[RemovedRecord]:
        """Return the records after this number; all of them if the list was begun anew since. Raise OSError."""
        every = list(self._records())
        if every and every[-1].number < number:
            return every
        return [each for each in every if each.number > number]

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / "removed"

    def _records(self) -> Iterator[RemovedRecord]:
        """Yield the records. What is no complete line is left out: it may be just being written."""
        with suppress(FileNotFoundError), self.path.open(errors="replace") as lines:
            for line in lines:
                number, _, rest = line.partition(" ")
                words = rest.split()
                if line.endswith("\n") and number.isdigit() and 2 <= len(words) <= 3:
                    crash_id, signature, *replaced = words
                    known = None if signature == _NO_SIGNATURE else signature
                    yield RemovedRecord(int(number), crash_id, known, *replaced)

    def _last_number(self) -> int:
        """Return the number of the last complete line, 0 if there is none."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2 * _LONGEST_LINE))
            complete = file.read().rpartition(b"\n")[0]
            number = complete.rpartition(b"\n")[2].partition(b" ")[0]
            return int(number) if number.isdigit() else 0
        return 0

    def _shorten(self) -> None:
        lines = self.path.read_bytes().splitlines(keepends=True)
        files.replace(self.path, b"".join(lines[-_MOST:]), files.FILE_MODE, self.group)
