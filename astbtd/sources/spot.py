"""A directory in which cores are looked for, and what is special about it."""

from dataclasses import dataclass

from astbtd.sources.collectors.collector import Collector
from astbtd.sources.core_pattern import CorePattern


@dataclass(frozen=True)
class WatchedDirectory:
    """Where the kernel writes cores (`plain`), where a collector keeps them, or both.

    With `fleeting`, it is one that does not last: what the kernel, by this pattern, made there and is gone was a core.
    """

    directory: str
    plain: bool = True
    collector: Collector | None = None
    fleeting: CorePattern | None = None
