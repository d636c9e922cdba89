"""Runs the benchmarks, all or those named on the command line. Prints a table and writes the figures as JSON."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import (
    burst,
    capture,
    core_growth,
    cores,
    extraction,
    growth,
    latency,
    quiet,
    real_builds,
    renames,
    startup,
)
from tests.bench.figures import Theme, table, write
from tests.support.harness import scratch_directory

_BUILD = Path("build/bench").resolve()


def main(wanted: list[str]) -> None:
    """Run the benchmarks in `wanted`, or all if it is empty."""
    figures = []
    for name, measure in THEMES.items():
        if name in (wanted or THEMES):
            for theme in measure():
                sys.stderr.write(table(theme.figures))
                figures += theme.figures
    write(figures, Path("build/bench.json"))
    sys.stdout.write(table(figures))


def _extraction() -> Iterator[Theme]:
    with scratch_directory() as scratch:
        for subject in cores.subjects(_BUILD, scratch):
            yield extraction.measure(subject)


def _view() -> Iterator[Theme]:
    with scratch_directory() as scratch:
        yield latency.measure(cores.subjects(_BUILD, scratch)[0])


def _startup() -> Iterator[Theme]:
    yield startup.measure()


def _growth() -> Iterator[Theme]:
    yield growth.measure()


def _burst() -> Iterator[Theme]:
    yield burst.measure(cores.small_programs(_BUILD))


def _renames() -> Iterator[Theme]:
    yield renames.measure()


def _capture() -> Iterator[Theme]:
    yield capture.measure(cores.small_programs(_BUILD))


def _core_growth() -> Iterator[Theme]:
    yield core_growth.measure(cores.small_programs(_BUILD), cores.pbx_programs(_BUILD))


def _quiet() -> Iterator[Theme]:
    yield quiet.measure(cores.small_programs(_BUILD))


THEMES: dict[str, Callable[[], Iterator[Theme]]] = {
    "real": real_builds.measure,
    "extraction": _extraction,
    "startup": _startup,
    "growth": _growth,
    "core-growth": _core_growth,
    "burst": _burst,
    "renames": _renames,
    "capture": _capture,
    "quiet": _quiet,
    "view": _view,
}

if __name__ == "__main__":
    main(sys.argv[1:])
