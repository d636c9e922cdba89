"""Find out what has become of Asterisk after a crash: is it running, since when, how often was it restarted.

The answer comes from /proc, from the service manager, from its entries in the journal, and from the store.
MESSAGE_ID: SD_MESSAGE_UNIT_RESTART_SCHEDULED in systemd's sd-messages.h.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from astbtd.asterisk import asterisk_processes, pbx_users
from astbtd.asterisk.identity import PbxIdentity
from astbtd.errors import AstbtdError
from astbtd.extraction.package_history import last_upgrade
from astbtd.extraction.package_owner import find_package
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.model.crash import CoreFacts
from astbtd.model.surroundings import NOTHING_BEFORE, BeforeCrash, PbxState, Surroundings
from astbtd.pipeline.crash_log import read_asterisk_log, read_unit_journal
from astbtd.readiness.facts import Unit
from astbtd.readiness.gather import process_facts, systemd_config
from astbtd.settings import Settings
from astbtd.sources.watched_directories import find_remembered_identity
from astbtd.store.store import Store

RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"
"""The MESSAGE_ID of the service manager's entries about automatic restarts."""
_PERIOD = timedelta(hours=1)
_MAX_RESTARTS = 10_000

Entries = Callable[[Sequence[Mapping[str, str]], float], Iterable[Mapping[str, object]]]
"""Returns the journal entries that match one of the queries, since a time in seconds since 1970."""

ReadBefore = Callable[[CoreFacts], BeforeCrash]
"""Returns what the machine tells about the time before a crash; may be called while gdb runs."""

Observe = Callable[[CoreFacts, BeforeCrash, str | None], Surroundings]
"""Returns what the machine tells about a crash that is being recorded; the last is the id of what it replaces."""


def read_before(settings: Settings, sandbox: SandboxUser, facts: CoreFacts) -> BeforeCrash:
    """Return what the machine tells about the time before a crash.

    `sandbox` is the user without privileges who reads the logs of an Asterisk that runs as root.
    """
    if facts.process.container:
        return NOTHING_BEFORE
    program = facts.process.executable
    package = find_package(program) if program else None
    return BeforeCrash(last_upgrade(package, facts.crashed_at), read_asterisk_log(settings, facts, sandbox))


def observe_surroundings(
    settings: Settings, store: Store, facts: CoreFacts, before: BeforeCrash, replaced: str | None
) -> Surroundings:
    """Return what the machine tells about a crash that is being recorded: the PBX is observed now.

    `replaced` is the id of the record of the same crash that this one will replace.
    """
    identity = find_remembered_identity(settings)
    pbx = observe_pbx(settings.asterisk.executables, identity, store, replaced=replaced)
    pbx = replace(pbx, crashes=(pbx.crashes or 0) + _is_recent(facts.crashed_at, pbx.at))
    journal = read_unit_journal(settings, facts, pbx.unit)
    return Surroundings(pbx, before.upgrade, "\n".join(filter(None, (before.log, journal))))


def observe_pbx(
    executables: Collection[str],
    identity: PbxIdentity,
    store: Store,
    entries: Entries | None = None,
    replaced: str | None = None,
) -> PbxState:
    """Return whether the PBX runs now. Without `entries`, the journal of this machine is read if that is possible.

    The record with the id `replaced` is not counted.
    """
    at = datetime.now(UTC)
    started = [time for pid in _pids(executables, identity) if (time := _start_time(pid))]
    unit = find_unit(executables)
    return PbxState(
        at=at,
        running=bool(started),
        since=max(started, default=None),
        unit=unit.name if unit else None,
        unit_state=f"{unit['ActiveState']} ({unit['SubState']})" if unit else None,
        restarts=_count_restarts(unit.name, at, entries or _journal_entries) if unit else None,
        crashes=_count_crashes(store, at, replaced),
    )


def find_unit(executables: Collection[str]) -> Unit | None:
    """Return the unit that starts Asterisk: the active one if there are several; None if none is loaded."""
    found = [systemd_config.find_loaded_unit(name) for name in sorted(pbx_users.find_units(executables))]
    units = [unit for unit in found if unit]
    active = [unit for unit in units if unit["ActiveState"] not in ("inactive", "")]
    return next(iter((*active, *units)), None)


def _pids(executables: Collection[str], identity: PbxIdentity) -> Iterable[int]:
    return filter(identity.is_known_process, asterisk_processes.running_pids(executables))


def _start_time(pid: int) -> datetime | None:
    with suppress(OSError, KeyError, ValueError):  # it has ended meanwhile
        return datetime.fromtimestamp(process_facts.read_process(pid).started, UTC)
    return None


def _count_crashes(store: Store, until: datetime, replaced: str | None) -> int:
    """Return how many crashes of the PBX are recorded in the hour before `until`, without `replaced`."""
    recent = takewhile(lambda crash: crash.crashed_at >= until - _PERIOD, store.summaries())
    counted = (crash for crash in recent if not crash.foreign and crash.id != replaced)
    return sum(_is_recent(crash.crashed_at, until) for crash in counted)


def _is_recent(moment: datetime, until: datetime) -> bool:
    return until - _PERIOD <= moment <= until


def _count_restarts(unit: str, until: datetime, entries: Entries) -> int | None:
    """Return how often the service manager restarted a unit in the last hour; None if the journal cannot be read."""
    query = {"MESSAGE_ID": RESTART_SCHEDULED, "_PID": "1", "UNIT": unit}
    count = 0
    try:
        for entry in entries([query], (until - _PERIOD).timestamp()):
            count += entry.get("_UID") in (0, "0")
            if count == _MAX_RESTARTS:
                break
    except (OSError, AstbtdError, ImportError):
        return None
    return count


def _journal_entries(queries: Sequence[Mapping[str, str]], since: float) -> Iterable[Mapping[str, object]]:
    from astbtd.announce import systemd  # the bindings may be missing where only reports are read

    if not systemd.can_read_system_journal():
        raise PermissionError
    return systemd.entries_since(queries, since)
