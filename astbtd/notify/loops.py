"""Finds crash loops in the records: N crashes at one site within a window; over when there was none for one window.

The rule is that of the daemon (pipeline.loop_detection), which keeps its loops in memory. Everything here is pure.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta


@dataclass(frozen=True)
class LoopState:
    """A current loop. `crashes` counts all of it, `uncounted` those after `counted_at`, which trackers do not know yet.

    `newest` is the id of the crash that represents it.
    """

    what: str
    since: datetime
    until: datetime
    crashes: int
    uncounted: int
    counted_at: datetime
    newest: str


@dataclass(frozen=True)
class RecentSite:
    """The crash times of a site within the last window, and its loop if it is in one."""

    times: tuple[datetime, ...] = ()
    loop: LoopState | None = None


@dataclass(frozen=True)
class LoopSettings:
    """A loop is this number of crashes at one site within this time."""

    crashes: int
    within: timedelta


@dataclass(frozen=True)
class SiteCrash:
    """A crash, as far as loops are concerned. `key` identifies program, user and site.

    `is_told`: trackers know of it already, because its death was notified before its core was found.
    """

    id: str
    key: str
    at: datetime
    what: str
    is_told: bool = False


@dataclass(frozen=True)
class LoopChange:
    """A loop that began or ended, or whose crashes were counted in between; `loop` is its state then."""

    loop: LoopState
    started: bool = False
    ended: bool = False


@dataclass
class LoopTracker:
    """Follows the sites, from the state `sites`, which is replaced by each call."""

    settings: LoopSettings
    sites: dict[str, RecentSite] = field(default_factory=dict)

    def add(self, crash: SiteCrash) -> LoopChange | None:
        """Count a crash. Return its loop if it is in one: `started` says whether this crash began it."""
        site = self.sites.get(crash.key, RecentSite())
        near = [at for at in site.times if abs(at - crash.at) < self.settings.within]
        times = tuple(sorted([*near, crash.at])[-self.settings.crashes :])
        loop = _extend(site.loop, crash) if site.loop else self._new_loop(times, crash)
        self.sites[crash.key] = RecentSite(times, loop)
        return LoopChange(loop, started=site.loop is None) if loop else None

    def withdraw(self, key: str, at: datetime) -> None:
        """Count one crash less at a site, the nearest to a time: it turned out to be one of another site."""
        site = self.sites.pop(key, RecentSite())
        nearest = min(site.times, key=lambda each: abs(each - at), default=None)
        times = tuple(each for each in site.times if each != nearest)
        if times or site.loop:
            self.sites[key] = replace(site, times=times)

    def end(self, now: datetime) -> list[LoopChange]:
        """Remove and return the loops that have had no crash for one window, and forget other sites as old."""
        ended = []
        for key, site in list(self.sites.items()):
            last = site.loop.until if site.loop else max(site.times, default=now)
            if now - last >= self.settings.within:
                del self.sites[key]
                if site.loop:
                    ended.append(LoopChange(site.loop, ended=True))
        return ended

    def take_uncounted(self, now: datetime, every: timedelta) -> list[LoopChange]:
        """Return the loops that have lasted for `every` since they were counted last; count them as told."""
        taken = []
        for key, site in list(self.sites.items()):
            if site.loop and site.loop.uncounted and now - site.loop.counted_at >= every:
                taken.append(LoopChange(site.loop))
                self.sites[key] = replace(site, loop=replace(site.loop, uncounted=0, counted_at=now))
        return taken

    def _new_loop(self, times: tuple[datetime, ...], crash: SiteCrash) -> LoopState | None:
        """Return the loop that a crash begins. It and those before it were notified one by one."""
        if len(times) < self.settings.crashes:
            return None
        return LoopState(crash.what, min(times), max(times), len(times), 0, max(times), crash.id)


def _extend(loop: LoopState, crash: SiteCrash) -> LoopState:
    return replace(
        loop,
        until=max(loop.until, crash.at),
        crashes=loop.crashes + 1,
        uncounted=loop.uncounted + (0 if crash.is_told else 1),
        newest=crash.id,
    )
