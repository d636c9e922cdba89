"""Counts the sites at which a program crashed for the first time, to keep up with many different crashes in a row."""

import threading
from datetime import datetime, timedelta

from astbtd.model.crash import Crash
from astbtd.pipeline.crash_site import program_key, site_key

WINDOW = timedelta(minutes=10)
MOST = 5
"""How many new sites of one program within the window are extracted in full at once."""


class NewSites:
    """The sites of recent crashes by program: when each was seen last. Thread-safe.

    A crash whose site is not known counts as a site of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, dict[str, datetime]] = {}

    def record(self, crash: Crash) -> None:
        """Remember the site of a crash; forget sites that were last seen more than one window before it."""
        with self._lock:
            seen = self._seen.setdefault(program_key(crash.process), {})
            seen[site_key(crash.process, crash.site) or crash.id] = crash.crashed_at
            for program, sites in list(self._seen.items()):
                self._seen[program] = {site: at for site, at in sites.items() if abs(crash.crashed_at - at) <= WINDOW}
                if not self._seen[program]:
                    del self._seen[program]

    def are_many(self, program: str, crashed_at: datetime) -> bool:
        """Return True if one more new site of this program would exceed the number that is extracted at once."""
        with self._lock:
            near = [at for at in self._seen.get(program, {}).values() if abs(crashed_at - at) <= WINDOW]
            return len(near) >= MOST

    def is_new(self, program: str, site: str | None) -> bool:
        """Return True if the site was not seen within the window, or is not known."""
        with self._lock:
            return site is None or site not in self._seen.get(program, {})
