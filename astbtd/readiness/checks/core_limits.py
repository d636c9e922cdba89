"""Checks what the kernel lets Asterisk dump: its limit on cores, its unit's, and whether it is dumpable."""

from astbtd.lib.quantities import shown_size
from astbtd.readiness.checks.asterisk_start import asks_for_cores, starts_asterisk
from astbtd.readiness.facts import Instance, Kernel, Limit, Process
from astbtd.readiness.remedies import dump_core, in_unit
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.sources.core_pattern import Kind

_SUIDSAFE = 2  # fs.suid_dumpable: what is not dumpable is dumped all the same, for root, but into no relative path


def core_limit(instance: Instance) -> Check:
    """RLIMIT_CORE of the process."""
    process = instance.process
    if isinstance(process, Unknown):
        return unknown(Name.CORE_LIMIT, process)
    soft = process.core_limit.soft
    if soft is None:
        return ok(Name.CORE_LIMIT, "unlimited")
    lift = f"prlimit --pid {process.pid} --core=unlimited; for good: {_raise_for_good(instance)}"
    if not process.core_limit.allows_cores:
        return failed(Name.CORE_LIMIT, f"RLIMIT_CORE is {soft}: no core is written", lift)
    if soft < process.resident:
        found = f"RLIMIT_CORE is {shown_size(soft)}: a core of {shown_size(process.resident)} is cut short"
        return warning(Name.CORE_LIMIT, found, lift)
    return ok(Name.CORE_LIMIT, shown_size(soft))


def unit_core_limit(instance: Instance) -> Check | None:
    """RLIMIT_CORE that the unit gives at the next start; None where there is no unit."""
    unit = instance.unit
    if unit is None:
        return None
    limit = Limit(*(_size(unit[name]) for name in ("LimitCORESoft", "LimitCORE")))
    found = f"{unit.name}: LimitCORE={unit['LimitCORE']}"
    if isinstance(instance.process, Unknown) and not starts_asterisk(unit):
        return unknown(Name.UNIT_CORE_LIMIT, instance.process)
    asks = asks_for_cores(instance)
    if asks and unit["User"] in ("", "root"):
        return ok(Name.UNIT_CORE_LIMIT, f"{found}, which Asterisk itself lifts")
    reached = Limit(limit.hard, limit.hard) if asks else limit
    if reached.allows_cores:
        return ok(Name.UNIT_CORE_LIMIT, found)
    lift = in_unit(instance, "LimitCORE=infinity") or ""
    if isinstance(instance.process, Process) and instance.process.core_limit.allows_cores:
        return warning(Name.UNIT_CORE_LIMIT, f"{found}: no core is written after the next start", lift)
    return failed(Name.UNIT_CORE_LIMIT, f"{found}: no core is written", lift)


def dumpable(instance: Instance, kernel: Kernel | Unknown) -> Check:
    """Dumpable after the change of user."""
    process = instance.process
    if isinstance(process, Unknown):
        return unknown(Name.DUMPABLE, process)
    if process.dumpable:
        return ok(Name.DUMPABLE, f"as uid {process.credentials.uid}")
    if isinstance(kernel, Unknown):
        return unknown(Name.DUMPABLE, kernel)
    if kernel.suid_dumpable == _SUIDSAFE and kernel.pattern.kind is not Kind.RELATIVE:
        return ok(Name.DUMPABLE, "not by itself, but fs.suid_dumpable=2 has the kernel dump it for root")
    found = f"not since it became uid {process.credentials.uid}: the kernel dumps no core of it"
    return failed(Name.DUMPABLE, found, dump_core(instance))


def _raise_for_good(instance: Instance) -> str:
    return in_unit(instance, "LimitCORE=infinity") or dump_core(instance)


def _size(text: str) -> int | None:
    """A limit as systemctl prints it; what it does not print is not limited."""
    return int(text) if text.isdigit() else None
