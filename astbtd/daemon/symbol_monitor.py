"""Have debug files obtained that kept crashes lack, and take over those that came.

The daemon has no network. It writes the build ids into a file, for which systemd starts astbtd-symbols.service.
"""

import time
from collections.abc import Callable
from pathlib import Path

from astbtd.lib import files
from astbtd.pipeline.components import Components
from astbtd.pipeline.stages import obtained_files
from astbtd.pipeline.wanted_symbols import WantedSymbols
from astbtd.settings import Settings, SymbolSettings
from astbtd.symbols.symbol_directories import SymbolDirectories
from astbtd.symbols.symbol_requests import read_answers, read_wanted, write_wanted

_PATIENCE = 900.0  # seconds without an answer, after which the next one is waited for by the retention timer only
_REPEAT = 60.0  # seconds until a request is repeated: systemd may not notice one while the unit runs


class SymbolMonitor:
    """Used in the worker's thread, except `awaits_answers`. `on_obtained` is called when debug files came."""

    def __init__(
        self,
        settings: Settings,
        components: Components,
        log: Callable[[str], None],
        on_obtained: Callable[[], None] = lambda: None,
    ) -> None:
        self._wanted = WantedSymbols(components.store)
        self._log = log
        self._on_obtained = on_obtained
        self._unanswered: frozenset[str] = frozenset()
        self._progress_at = self._requested_at = 0.0
        self.update_settings(settings, components)

    def update_settings(self, settings: Settings, components: Components) -> None:
        """Use other settings from the next `run` on."""
        self._settings: SymbolSettings = settings.symbols
        self._directories = SymbolDirectories(Path(settings.symbols.directory))
        self._obtained = obtained_files(settings, components, self._log)

    @property
    def awaits_answers(self) -> bool:
        """True if `run` is to be called every few seconds, since a request was not answered yet."""
        return bool(self._unanswered) and time.monotonic() - self._progress_at < _PATIENCE

    def run(self) -> None:
        """Take over what was downloaded, and ask for what is lacking. Raise AstbtdError."""
        if not self._settings.debuginfod:
            self._unanswered = frozenset()
            self._directories.wanted.unlink(missing_ok=True)
            return
        self._obtained.prepare()
        self._take_over()
        wanted = [each for each in self._wanted.builds() if not self._directories.has_debug_file(each)]
        self._request(wanted)

    def _take_over(self) -> None:
        wanted = read_wanted(self._directories)
        if not wanted:
            return
        taken = self._obtained.take_over(wanted, self._wanted.needed_builds())
        if taken:
            self._on_obtained()
            self._log(f"obtained debug files of {len(taken)} builds: {', '.join(taken)}")

    def _request(self, wanted: list[str]) -> None:
        """Write a request if it differs from the last one, or that one was not answered for a while."""
        now = time.monotonic()
        answered = read_answers(self._directories)
        unanswered = frozenset(wanted) - answered.keys()
        if unanswered != self._unanswered:
            self._progress_at = now
        self._unanswered = unanswered
        is_new = set(wanted) != set(read_wanted(self._directories))
        if is_new or (unanswered and now - self._requested_at >= _REPEAT):
            self._requested_at = now
            with files.wrap_os_error(f"cannot write {self._directories.wanted}"):
                write_wanted(self._directories, wanted)
