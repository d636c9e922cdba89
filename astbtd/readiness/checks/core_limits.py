"""Checks whether the kernel lets Asterisk dump core: the limits of the process and its unit, and the dumpable flag."""

from astbtd.lib.quantities import format_size
from astbtd.readiness.checks.asterisk_start import raises_core_limit, starts_asterisk
from astbtd.readiness.facts import Instance, Kernel, Limit, Process
from astbtd.readiness.remedies import enable_dumpcore, restart, set_in_unit
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.sources.core_pattern import Kind

_SUIDSAFE = 2  # fs.suid_dumpable: cores of processes that are not dumpable go to root, but not to a relative path


def check_core_limit(instance: Instance) -> Check:
    """Check RLIMIT_CORE of the process."""
    process = instance.process
    if isinstance(process, Unknown):
        return unknown(Name.CORE_LIMIT, process)
    soft = process.core_limit.soft
    if soft is None:
        return ok(Name.CORE_LIMIT, "unlimited")
    remedy = f"prlimit --pid {process.pid} --core=unlimited; permanently: {_allow_cores(instance, process)}"
    if not process.core_limit.allows_core:
        return failed(Name.CORE_LIMIT, f"RLIMIT_CORE is {soft}: no core is written", remedy)
    if soft < process.resident:
        found = f"RLIMIT_CORE is {format_size(soft)}: a core of {format_size(process.resident)} is truncated"
        return warning(Name.CORE_LIMIT, found, remedy)
    return ok(Name.CORE_LIMIT, format_size(soft))


def check_unit_core_limit(instance: Instance) -> Check | None:
    """Check RLIMIT_CORE that the unit sets at the next start; return None if there is no unit."""
    unit = instance.unit
    if unit is None:
        return None
    found = f"{unit.name}: LimitCORE={unit['LimitCORE']}"
    if isinstance(instance.process, Unknown) and not starts_asterisk(unit):
        return unknown(Name.UNIT_CORE_LIMIT, instance.process)
    raises_limit = raises_core_limit(instance)
    if raises_limit and unit["User"] in ("", "root"):
        return ok(Name.UNIT_CORE_LIMIT, f"{found}, raised by Asterisk itself")
    if _limit_after_start(unit["LimitCORESoft"], unit["LimitCORE"], raises_limit=raises_limit).allows_core:
        return ok(Name.UNIT_CORE_LIMIT, found)
    remedy = set_in_unit(instance, "LimitCORE=infinity") or ""
    if _allows_core_now(instance):
        return warning(Name.UNIT_CORE_LIMIT, f"{found}: no core is written after the next start", remedy)
    return failed(Name.UNIT_CORE_LIMIT, f"{found}: no core is written", remedy)


def check_dumpable(instance: Instance, kernel: Kernel | Unknown) -> Check:
    """Check that the process is dumpable: a change of user clears that flag."""
    process = instance.process
    if isinstance(process, Unknown):
        return unknown(Name.DUMPABLE, process)
    if process.dumpable:
        return ok(Name.DUMPABLE, f"as uid {process.credentials.uid}")
    if isinstance(kernel, Unknown):
        return unknown(Name.DUMPABLE, kernel)
    if kernel.suid_dumpable == _SUIDSAFE and kernel.pattern.kind is not Kind.RELATIVE:
        return ok(Name.DUMPABLE, "no, but with fs.suid_dumpable=2 the kernel writes the core for root")
    found = f"no, since it changed to uid {process.credentials.uid}: the kernel writes no core"
    return failed(Name.DUMPABLE, found, enable_dumpcore(instance))


def _allow_cores(instance: Instance, process: Process) -> str:
    """Return how to raise RLIMIT_CORE for good. With -g, Asterisk does it itself, but only up to its hard limit."""
    in_unit = set_in_unit(instance, "LimitCORE=infinity")
    if in_unit:
        return in_unit
    if not raises_core_limit(instance):
        return enable_dumpcore(instance)
    if process.core_limit.hard is None:
        return f"find out what lowers it after the start, then: {restart(instance)}"
    return (
        f"-g is given, but only root can raise the hard limit of {process.core_limit.hard}: run ulimit -c unlimited as "
        "root in the script that starts Asterisk, or, if a user starts it, "
        "echo '* - core unlimited' >/etc/security/limits.d/60-core.conf, log in again and start it"
    )


def _allows_core_now(instance: Instance) -> bool:
    return isinstance(instance.process, Process) and instance.process.core_limit.allows_core


def _limit_after_start(soft: str, hard: str, *, raises_limit: bool) -> Limit:
    """Return the limit of a new process. A process that is not root can raise its soft limit to the hard limit."""
    hard_limit = _parse_limit(hard)
    return Limit(hard_limit if raises_limit else _parse_limit(soft), hard_limit)


def _parse_limit(text: str) -> int | None:
    """Parse a limit as systemctl prints it; anything but a number means unlimited."""
    return int(text) if text.isdigit() else None
