"""Prometheus' text format of the figures. Names and labels are documented in astbtd(8), section METRICS.

A label has few values, which are known before: no signature, path, function or id is one.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from astbtd.metrics.figures import CrashFigures, Figures
from astbtd.model.daemon_state import DaemonState


def format_figures(figures: Figures) -> bytes:
    """Return the content of the file for the node exporter."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_of_crashes(figures.crashes), *_of_store(figures), *_of_daemon(figures.daemon)]))
    return generate_latest(registry)


class _Families(Collector):
    """A collector of what was collected before."""

    def __init__(self, families: Iterable[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


def _of_crashes(crashes: CrashFigures) -> Iterator[GaugeMetricFamily]:
    recorded = GaugeMetricFamily(
        "astbtd_crashes", "Recorded crashes of Asterisk, by signal and verdict.", labels=("signal", "verdict")
    )
    for labels, count in sorted(crashes.by_signal_and_verdict.items()):
        recorded.add_metric(labels, count)
    yield recorded
    yield _gauge("astbtd_foreign_crashes", "Recorded crashes of programs that are not the PBX.", crashes.foreign)
    last = crashes.last_crash.timestamp() if crashes.last_crash else None
    yield _gauge("astbtd_last_crash_timestamp_seconds", "Time of the last crash of Asterisk; absent if none.", last)
    yield _gauge("astbtd_signatures", "Different signatures of the recorded crashes.", crashes.signatures)
    yield _gauge("astbtd_lost_cores", "Recorded crashes whose core was lost.", crashes.lost)
    yield _gauge("astbtd_damaged_records", "Records that cannot be read: see astbtd fsck.", crashes.damaged)


def _of_store(figures: Figures) -> Iterator[GaugeMetricFamily]:
    yield _by_part("astbtd_store_bytes", "Size of the store, by part.", figures.stored)
    text = "Notifications that were given up after a week of attempts; absent if not known."
    yield _gauge("astbtd_failed_deliveries", text, figures.failed_deliveries)


def _of_daemon(daemon: DaemonState | None) -> Iterator[GaugeMetricFamily]:
    """Yield what only a running daemon knows. Without one, there is only `astbtd_up`."""
    yield _gauge("astbtd_up", "1 if the daemon runs, otherwise 0.", int(daemon is not None))
    if daemon is None:
        return
    yield _gauge("astbtd_queued_cores", "Claimed cores that wait to be processed.", daemon.queued)
    yield _gauge("astbtd_more_cores", "1 if there are cores that are not claimed yet, otherwise 0.", int(daemon.more))
    yield _gauge("astbtd_crash_loops", "Crash loops that last.", daemon.crash_loops)
    usable = None if daemon.usable is None else int(daemon.usable)
    text = "1 if the next crash will give a usable backtrace, 0 if not; absent if not known."
    yield _gauge("astbtd_next_crash_usable", text, usable)


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a metric without labels; without a sample if the value is None."""
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric((), value)
    return family


def _by_part(name: str, text: str, sizes: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=("part",))
    for part, size in sizes.items():
        family.add_metric((part,), size)
    return family
