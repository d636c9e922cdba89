"""The text is what the node exporter reads, and no label comes from a crash but its signal and verdict."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from astbtd.metrics.exposition import format_figures
from astbtd.metrics.figures import CrashFigures, Figures
from astbtd.model.daemon_state import DaemonState

LAST = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
CRASHES = CrashFigures({("SIGSEGV", "usable"): 2, ("SIGABRT", "partial"): 1}, 4, 5, 6, 7, LAST)
STATE = DaemonState(queued=8, more=True, crash_loops=1, usable=False)
FIGURES = Figures(CRASHES, {"cores": 10**10, "texts": 9}, STATE, 3)


def samples(figures: Figures) -> dict[str, float]:
    """Return all samples by name and labels."""
    return dict(iter_samples(figures))


def iter_samples(figures: Figures) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(format_figures(figures).decode()):
        assert family.documentation
        assert family.type == "gauge"
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            yield f"{sample.name}{{{labels}}}" if labels else sample.name, sample.value


def test_each_figure_is_a_sample() -> None:
    assert samples(FIGURES) == {
        "astbtd_crashes{signal=SIGSEGV,verdict=usable}": 2,
        "astbtd_crashes{signal=SIGABRT,verdict=partial}": 1,
        "astbtd_foreign_crashes": 4,
        "astbtd_lost_cores": 5,
        "astbtd_damaged_records": 6,
        "astbtd_signatures": 7,
        "astbtd_last_crash_timestamp_seconds": LAST.timestamp(),
        "astbtd_store_bytes{part=cores}": 1e10,
        "astbtd_store_bytes{part=texts}": 9,
        "astbtd_failed_deliveries": 3,
        "astbtd_up": 1,
        "astbtd_queued_cores": 8,
        "astbtd_more_cores": 1,
        "astbtd_crash_loops": 1,
        "astbtd_next_crash_usable": 0,
    }


def test_without_a_daemon_nothing_is_said_about_what_only_it_knows() -> None:
    stopped = samples(Figures(CRASHES, {}, None, 0))

    assert stopped["astbtd_up"] == 0
    assert not {"astbtd_queued_cores", "astbtd_more_cores", "astbtd_crash_loops", "astbtd_next_crash_usable"} & {
        *stopped
    }


@pytest.mark.parametrize(("usable", "expected"), [(True, 1), (False, 0), (None, None)])
def test_what_is_not_known_has_no_sample(usable: bool | None, expected: int | None) -> None:
    found = samples(Figures(CRASHES, {}, DaemonState(0, False, 0, usable), 0))

    assert found.get("astbtd_next_crash_usable") == expected


def test_without_a_crash_there_is_no_time_of_the_last() -> None:
    found = samples(Figures(CrashFigures({}, 0, 0, 0, 0, None), {}, None, 0))

    assert "astbtd_last_crash_timestamp_seconds" not in found
    assert not any(name.startswith("astbtd_crashes") for name in found)
