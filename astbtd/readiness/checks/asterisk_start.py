"""Checks how Asterisk runs and whether it was told to dump core."""

from astbtd.asterisk.asterisk_processes import options
from astbtd.readiness.facts import Instance, StartedBy, Unit
from astbtd.readiness.remedies import dump_core, restart
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning


def asterisk(instance: Instance) -> Check:
    """Asterisk found, and how it runs."""
    process, unit = instance.process, instance.unit
    if isinstance(process, Unknown):
        would = f"; {unit.name} would start it" if unit else ""
        return unknown(Name.ASTERISK, Unknown(f"{process.reason}{would}", _start(instance) or process.remedy))
    by = f"{instance.manager} ({unit.name})" if instance.manager is StartedBy.UNIT and unit else instance.manager
    program = instance.program
    path = "its executable cannot be seen" if isinstance(program, Unknown) else program.path
    return ok(Name.ASTERISK, f"pid {process.pid}, started by {by}: {path}")


def dumpcore(instance: Instance) -> Check:
    """Started with -g, or with dumpcore=yes in asterisk.conf."""
    if has_g(instance):
        return ok(Name.DUMPCORE, "-g is given")
    said, configured = _said(instance), instance.configured_dumpcore
    if said:
        return ok(Name.DUMPCORE, "Asterisk says that it dumps core (core show settings)")
    if configured is True and said is None:
        return ok(Name.DUMPCORE, f"dumpcore = yes in {instance.configuration}")
    if configured is True:
        return failed(Name.DUMPCORE, "dumpcore = yes was set after Asterisk started", restart(instance))
    if isinstance(configured, Unknown) and said is None:
        return unknown(Name.DUMPCORE, configured)
    if isinstance(instance.process, Unknown) and not starts_asterisk(instance.unit):
        return unknown(Name.DUMPCORE, instance.process)
    if _dumps_all_the_same(instance):
        return warning(Name.DUMPCORE, "neither -g nor dumpcore = yes, but its limits allow a core", dump_core(instance))
    return failed(Name.DUMPCORE, "neither -g nor dumpcore = yes: Asterisk leaves no core", dump_core(instance))


def has_g(instance: Instance) -> bool:
    """Whether -g is on its command line, or on that of the unit that would start it."""
    process, unit = instance.process, instance.unit
    if not isinstance(process, Unknown):
        return "-g" in options(process.command)
    return unit is not None and "-g" in options(unit.command)


def asks_for_cores(instance: Instance) -> bool:
    """Whether Asterisk raises its own limit on cores when it starts."""
    return has_g(instance) or instance.configured_dumpcore is True


def starts_asterisk(unit: Unit | None) -> bool:
    """Whether a unit's command line is Asterisk's own, not that of a script which may add to it."""
    command = unit.command if unit else ()
    return bool(command) and command[0].endswith(b"/asterisk")


def _start(instance: Instance) -> str | None:
    return f"systemctl start {instance.unit.name}" if instance.unit else None


def _said(instance: Instance) -> bool | None:
    return None if isinstance(instance.console, Unknown) else instance.console.dumpcore


def _dumps_all_the_same(instance: Instance) -> bool:
    process = instance.process
    return not isinstance(process, Unknown) and process.core_limit.allows_cores and process.dumpable
