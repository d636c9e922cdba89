"""The quota of foreign crashes: those of programs that are called asterisk and are not the PBX.

It is small, and apart from the limits of the PBX's crashes, so that they cannot take room from each other. The ids of
foreign crashes are in a file, in the order in which they were recorded: nothing that their users choose decides which
one is removed, and no record has to be read to find them.
"""

from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import files
from astbtd.store.retention.planning import part_sizes
from astbtd.store.retention.stored_crash import StoreTotals
from astbtd.store.store import DamagedRecord, Store

MAX_CRASHES = 20
MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class ForeignCrashes:
    """The foreign crashes in a store."""

    store: Store

    def add(self, crash_id: str) -> None:
        """Add a crash, durably, before it is recorded. Raise OSError."""
        if crash_id not in self.ids():
            files.append_line(self._file, crash_id)

    def ids(self) -> list[str]:
        """Return the ids of all foreign crashes, the one that was recorded first first."""
        try:
            return self._file.read_text().splitlines()
        except FileNotFoundError:
            return []

    def remove_excess(self) -> StoreTotals:
        """Remove the crashes beyond the quota, the first ones first, and return what was removed. Raise OSError.

        A pinned crash is not removed, and counts.
        """
        sizes = {crash_id: self.store.sizes(crash_id) for crash_id in self.ids()}
        stored = {crash_id: each for crash_id, each in sizes.items() if each and self._is_foreign(crash_id)}
        count, total = len(stored), sum(sum(each.values()) for each in stored.values())
        removed = []
        for crash_id, each in stored.items():
            if count <= MAX_CRASHES and total <= MAX_BYTES:
                break
            if not self._is_pinned(crash_id) and self._remove(crash_id):
                removed.append(crash_id)
                count, total = count - 1, total - sum(each.values())
        if len(sizes) > len(stored) - len(removed):
            self._write([crash_id for crash_id in stored if crash_id not in removed])
        return StoreTotals.from_part_sizes(part_sizes(stored[crash_id]) for crash_id in removed)

    def _is_foreign(self, crash_id: str) -> bool:
        """Return whether a crash still counts as foreign: its user may have become one of the PBX's."""
        try:
            return self.store.load_retention_fields(crash_id).foreign is not False
        except DamagedRecord:
            return True

    def _is_pinned(self, crash_id: str) -> bool:
        try:
            return self.store.load_retention_fields(crash_id).pinned
        except DamagedRecord:
            return False

    def _remove(self, crash_id: str) -> bool:
        with self.store.change_lock():
            return self.store.remove(crash_id)

    def _write(self, ids: list[str]) -> None:
        files.replace(self._file, "".join(f"{crash_id}\n" for crash_id in ids).encode(), files.PRIVATE_FILE_MODE)

    @property
    def _file(self) -> Path:
        return self.store.incoming / "foreign"
