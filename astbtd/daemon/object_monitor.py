"""Keep the objects of the PBX that runs, and those of its crashes, and log why some are not kept.

`note_running` and `request` are called in the main thread, the others in the worker's.
"""

from collections.abc import Callable, Iterable

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.claims.claim import Claim
from astbtd.elf.headers import NotElf
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Crash
from astbtd.pipeline.object_keeper import KeepResult, ObjectKeeper
from astbtd.store.retention import object_removal

MODULES_LOADED = 60.0
"""Seconds after its start until Asterisk has loaded its modules. Later ones are found by the next scan."""

_MAX_LOGGED = 1000


class ObjectMonitor:
    """Keeps objects on request, with the keeper of the current settings."""

    def __init__(self) -> None:
        self._running: frozenset[int] = frozenset()
        self._is_due = False
        self._logged: set[str] = set()

    def note_running(self, pids: frozenset[int]) -> None:
        """Note which processes of the PBX run now."""
        self._running = pids

    def request(self) -> None:
        """Let the next call of `keep_if_due` keep the objects of the PBX."""
        self._is_due = True

    def keep_if_due(self, keeper: ObjectKeeper, is_interrupted: Callable[[], bool]) -> None:
        """Keep the objects of the running PBX if that was requested. If interrupted, the next call continues.

        A request that is made meanwhile is carried out by the next call.
        """
        if not self._is_due or is_interrupted():
            return
        self._is_due = False
        try:
            is_done = self._keep_running(keeper, is_interrupted)
        except BaseException:
            self._is_due = True
            raise
        self._is_due |= not is_done

    def _keep_running(self, keeper: ObjectKeeper, is_interrupted: Callable[[], bool]) -> bool:
        """Keep the objects of the running PBX. Return False if interrupted."""
        build_ids: set[str] = set()
        for pid in sorted(self._running):
            try:
                result = keeper.keep_running(pid, is_interrupted)
            except OSError:  # it has ended
                continue
            build_ids |= result.build_ids
            self._log(f"process {pid} has mapped", result)
        if is_interrupted():
            return False
        if build_ids:
            object_removal.write_running(keeper.store, build_ids)
        return True

    def keep_of_crash(self, keeper: ObjectKeeper, claim: Claim, crash: Crash) -> None:
        """Keep the objects of a crash of which the core will be kept."""
        try:
            result = keeper.keep_mapped(claim.descriptor)
        except NotElf:  # the record says so
            return
        self._log(f"the core of crash {crash.id} names", result)

    def _log(self, who: str, result: KeepResult) -> None:
        """Log what is not kept, each reason once."""
        if result.added:
            journal.log(f"kept {pluralize(result.added, 'object', 'objects')} of those that {who}")
        refused = result.refused
        if refused:
            count = pluralize(len(refused), "file", "files")
            self._log_once(refused, f"{count} that {who} cannot be kept, the first: {refused[0]}")
        if result.no_room:
            self._log_once([result.no_room], f"not all objects that {who} can be kept: {result.no_room}")

    def _log_once(self, reasons: Iterable[str], sentence: str) -> None:
        if self._logged.issuperset(reasons):
            return
        if len(self._logged) > _MAX_LOGGED:
            self._logged.clear()
        self._logged.update(reasons)
        journal.log(sentence, Priority.WARNING)
