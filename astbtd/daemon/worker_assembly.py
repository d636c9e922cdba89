"""Assemble what the worker of a daemon does, with the current settings."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.daemon import announcements, collector_journal
from astbtd.daemon.death_monitor import DeathMonitor
from astbtd.daemon.extraction_monitor import ExtractionMonitor
from astbtd.daemon.job_handler import CrashJobHandler
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.object_monitor import ObjectMonitor
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.worker import Worker
from astbtd.pipeline.automatic_extraction import AutomaticExtraction
from astbtd.pipeline.components import Components
from astbtd.pipeline.extraction_attempts import ExtractionAttempts
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.pipeline.stages import crash_pipeline, object_keeper, reextraction
from astbtd.settings import Settings

_TIME_BEYOND_GDB = 900.0  # seconds that the other stages of one core may take; compression may, without progress


@dataclass(frozen=True)
class WorkerParts:
    """What the jobs of the worker share with the main loop, whatever the settings."""

    worker: Worker
    loops: CrashLoops
    maintenance: Maintenance
    statistics: StoreStatistics
    rate_limited: RateLimitedJournal
    deaths: DeathMonitor
    objects: ObjectMonitor
    extractions: ExtractionMonitor

    def configure(self, settings: Settings, components: Components) -> None:
        """Let the worker use these settings from the next job on."""
        keep_alive, store = self.worker.keep_alive, components.store
        keeper = object_keeper(components, settings, keep_alive)
        pipeline = crash_pipeline(
            components,
            settings,
            self.loops,
            announce=partial(announcements.announce_crash, self.loops, store, self.rate_limited),
            progress=keep_alive,
            collect_metadata=collector_journal.find_metadata,
            keep_objects=partial(self.objects.keep_of_crash, keeper),
        )
        attempts = ExtractionAttempts(store, settings.extract.again_per_hour, time.time)
        automatic = AutomaticExtraction(reextraction(components, keep_alive), attempts)
        when_idle: tuple[Callable[[], None], ...] = (
            partial(self.objects.keep_if_due, keeper, self._is_interrupted),
            partial(self.extractions.extract_if_due, automatic, self._is_interrupted),
        )
        handler = CrashJobHandler(
            pipeline,
            self.maintenance,
            self.statistics,
            self.rate_limited,
            self._is_interrupted,
            partial(self.deaths.check_if_due, components.claims, settings.asterisk.executables),
            when_idle,
            self.extractions.note_collected,
        )
        self.worker.configure(handler, settings.gdb.time * 2 + _TIME_BEYOND_GDB)

    def _is_interrupted(self) -> bool:
        """Report progress; return True if a claim is queued."""
        self.worker.keep_alive()
        return self.worker.has_queued()
