"""The registered collectors: every module of this package that defines `COLLECTOR`.

To add a collector, add a module. The settings, the watched directories, the journal lookup and the tests use this
registry and name no collector themselves.
"""

from importlib import import_module
from pathlib import Path

from astbtd.sources.collectors.collector import Collector


def _load_collectors() -> tuple[Collector, ...]:
    """Import the modules of this package and return their collectors, sorted by module name."""
    collectors: list[Collector] = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        if path.stem == Path(__file__).stem:
            continue
        module = import_module(f"{__package__}.{path.stem}")
        if hasattr(module, "COLLECTOR"):
            collectors.append(module.COLLECTOR)
    return tuple(collectors)


COLLECTORS = _load_collectors()


def find_collector(name: str) -> Collector | None:
    """Return the collector with this name; None if there is none (the source of a core may be `file` or `live`)."""
    for collector in COLLECTORS:
        if collector.name == name:
            return collector
    return None
