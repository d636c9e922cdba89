"""Deaths of the PBX of which no core appeared: found in the messages of the kernel and of the service manager.

The id of such a crash is made like any other, `<time>-<pid>-<6 hex digits>`. In the place of a core's identity there is
a hash of the boot, of the process or the unit's invocation, and of the time of the message.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from signal import Signals

from astbtd.claims.claim_file import ClaimRecord
from astbtd.claims.core_filter import OtherCore
from astbtd.claims.lost_cores import GIVE_EACH_CORE_A_NAME
from astbtd.model.crash import CoreFacts, DiscoveredBy, IdentityFrom, LostCore, Process, Signal, SiteFrame
from astbtd.sources.death_messages import KernelMessage, UnitExit

_SAME_DEATH = timedelta(seconds=10)  # between two messages, or a message and a core, about one death
_SLOW_DUMP = timedelta(seconds=120)  # that the kernel may take to write a core, after its message about the process
_OOM_REMEDY = (
    "The kernel was out of memory, and never writes a core then. See `journalctl -k` for what used the memory; limit "
    "it with `MemoryMax=`, or add memory."
)
_REMEDY = (
    "Run `astbtd check`: it says why the next crash will leave no core. Usually Asterisk runs without `-g` or with a "
    "core limit of 0 (`systemctl edit asterisk.service`: `[Service]`, `LimitCORE=infinity`)."
)


@dataclass(frozen=True)
class EndedProcess:
    """A process of the PBX that has ended: it was running at `seen_at`, and was missed at `missed_at`.

    `pid` is its id on this machine, `inner_pid` that in its own PID namespace, if it has one.
    """

    pid: int
    seen_at: datetime
    missed_at: datetime
    inner_pid: int | None = None

    @property
    def core_pid(self) -> int:
        """The process id that its core has."""
        return self.inner_pid or self.pid

    def may_have_died(self, at: datetime) -> bool:
        """Return whether the kernel's message from this time may be about it. While it is dumped, it seems to run."""
        return self.seen_at - _SLOW_DUMP <= at <= self.missed_at + _SAME_DEATH


@dataclass(frozen=True)
class Death:
    """A death of the PBX: what the service manager said, what the kernel said, or both.

    `pid` is that of the core (EndedProcess.core_pid), None if unknown.
    """

    unit: UnitExit | None
    message: KernelMessage | None
    pid: int | None

    @property
    def at(self) -> datetime:
        """The time of the death: the kernel's message comes before the core is written, that of the unit afterwards."""
        first = self.message or self.unit
        assert first is not None
        return first.at

    @property
    def last_at(self) -> datetime:
        """The time of the last message about the death."""
        return self.unit.at if self.unit else self.at

    def is_crash(self, pid: int | None, crashed_at: datetime) -> bool:
        """Return whether a crash with this process and time is this death."""
        if self.pid is not None and pid is not None:
            return self.pid == pid and -_SAME_DEATH <= crashed_at - self.at <= _SLOW_DUMP
        return abs(crashed_at - self.last_at) <= _SAME_DEATH


def find_deaths(
    messages: Iterable[KernelMessage | UnitExit],
    units: Collection[str],
    ended: Collection[EndedProcess],
    executables: Collection[str],
) -> Iterator[Death]:
    """Yield the deaths of the PBX in messages, which are ordered by time.

    `units` start Asterisk. `ended` are the PBX's processes that ended. A line of the kernel alone proves nothing: any
    user can run a program called asterisk, so it must belong to such a unit, or to such a process when that ended.
    """
    everything = list(messages)
    of_kernel = [each for each in everything if isinstance(each, KernelMessage) and each.name in executables]
    for exited in (each for each in everything if isinstance(each, UnitExit) and each.unit in units):
        message = next((each for each in of_kernel if _is_about(each, exited)), None)
        if message:
            of_kernel.remove(message)
        if message or exited.signal != "SIGKILL":  # that is sent on purpose, unless the kernel was out of memory
            yield Death(exited, message, _pid(message, ended))
    for message in of_kernel:
        pid = _pid(message, ended)
        if pid is not None:
            yield Death(None, message, pid)


def _is_about(message: KernelMessage, exited: UnitExit) -> bool:
    is_near = -_SLOW_DUMP <= message.at - exited.at <= _SAME_DEATH
    return is_near and message.boot_id == exited.boot_id and message.signal == exited.signal


def _pid(message: KernelMessage | None, ended: Collection[EndedProcess]) -> int | None:
    """Return the process of a message, which names a thread: the last process that was started before it."""
    if message is None:
        return None
    possible = {process.pid: process for process in ended if process.may_have_died(message.at)}
    last_started = max((pid for pid in possible if pid <= message.task), default=0)
    found = message.task if message.is_oom else last_started
    return possible[found].core_pid if found in possible else None


def find_replacement(death: Death, cores: Iterable[OtherCore]) -> OtherCore | None:
    """Return the core of another program that has replaced the PBX's core of this death, None if there is none.

    The service manager ends all processes of a unit with one signal, so that several dump at the same time: Asterisk
    and its astcanary. If the names of cores contain no pid, the last one that the kernel creates is left.
    """
    if death.unit is None or not death.unit.dumped:
        return None
    for core in cores:
        has_own_name = core.pid is not None and str(core.pid) in os.path.basename(core.path)
        if not has_own_name and abs(core.crashed_at - death.last_at) <= _SAME_DEATH:
            return core
    return None


def death_record(death: Death, replacement: OtherCore | None = None) -> ClaimRecord:
    """Return the record of a crash without a core, to be claimed with `Claims.claim_lost_core`."""
    source = death.unit or death.message
    assert source is not None
    what = death.unit.invocation if death.unit else str(death.pid)
    identity = hashlib.sha256(f"{source.boot_id}:{what}:{source.at.timestamp():.6f}".encode()).hexdigest()[:32]
    crashed_at = death.at.replace(microsecond=death.at.microsecond // 1000 * 1000)
    facts = CoreFacts(
        identity=identity,
        identity_from=IdentityFrom.DEATH,
        crashed_at=crashed_at,
        size=0,
        truncated=False,
        process=Process(pid=death.pid, tid=death.message.task if death.message and not death.message.is_oom else None),
        signal=Signal(Signals[source.signal].value, source.signal),
        objects=(),
    )
    if replacement:
        directory, name = os.path.split(replacement.path)
        loss = _replaced_by(replacement)
        return ClaimRecord(facts, directory, name, DiscoveredBy.SCAN, inode=0, copied=True, loss=loss)
    return ClaimRecord(facts, "/", "", DiscoveredBy.SCAN, inode=0, copied=True, loss=_loss(death))


def _replaced_by(core: OtherCore) -> LostCore:
    reason = (
        f"The core is lost: {core.program} dumped core at the same time, and its core has replaced that of Asterisk, "
        f"because both have the name {core.path}."
    )
    return LostCore(reason, GIVE_EACH_CORE_A_NAME)


def _loss(death: Death) -> LostCore:
    message, unit = death.message, death.unit
    of_unit = f"{unit.unit} was terminated by {unit.signal}" if unit else "Asterisk was terminated"
    of_kernel = f"; the kernel logged: {message.text}" if message else ""
    if message and message.is_oom:
        return LostCore(
            f"There is no core: {of_unit}: the kernel was out of memory{of_kernel}.", _OOM_REMEDY, is_none=True
        )
    where = "although the kernel wrote one" if unit and unit.dumped else "and no core was written"
    has_frame = message is not None and message.module is not None and message.offset is not None
    frame = SiteFrame(None, message.module, f"{message.offset:#x}") if message and has_frame else None
    reason = f"There is no core: {of_unit}, {where} where astbtd looks{of_kernel}."
    return LostCore(reason, _REMEDY, is_none=True, frame=frame)
