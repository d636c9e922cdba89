"""Checks how Asterisk was started, and whether it dumps core."""

from collections.abc import Iterator, Sequence

from astbtd.asterisk.asterisk_processes import parse_options
from astbtd.asterisk.identity import ForeignProcess
from astbtd.readiness.facts import Instance, Limit, StartedBy, Unit
from astbtd.readiness.remedies import enable_dumpcore, restart
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning


def check_asterisk(instance: Instance) -> Check:
    """Report whether Asterisk is running, what started it, and its executable."""
    process, unit = instance.process, instance.unit
    if isinstance(process, Unknown):
        if unit is None:
            return unknown(Name.ASTERISK, process)
        reason = f"{process.reason}; {unit.name} would start it"
        return unknown(Name.ASTERISK, Unknown(reason, f"systemctl start {unit.name}"))
    started_by = str(instance.manager)
    if instance.manager is StartedBy.UNIT and unit:
        started_by += f" ({unit.name})"
    program = instance.program
    path = "unknown executable" if isinstance(program, Unknown) else program.path
    return ok(Name.ASTERISK, f"pid {process.pid}, started by {started_by}: {path}")


def check_dumpcore(instance: Instance) -> Check:
    """Check that Asterisk was started with -g, or with dumpcore=yes in asterisk.conf."""
    if has_option_g(instance):
        return ok(Name.DUMPCORE, "-g is given")
    reported = None if isinstance(instance.console, Unknown) else instance.console.dumpcore
    configured = instance.configured_dumpcore
    if reported:
        return ok(Name.DUMPCORE, "enabled according to `core show settings`")
    if configured is True:
        if reported is None:
            return ok(Name.DUMPCORE, f"dumpcore = yes in {instance.configuration}")
        found = "dumpcore = yes was set after Asterisk started"
        if _dumps_core_anyway(instance):
            return warning(Name.DUMPCORE, f"{found}, but its limits allow a core", restart(instance))
        return failed(Name.DUMPCORE, found, restart(instance))
    if isinstance(configured, Unknown) and reported is None:
        return unknown(Name.DUMPCORE, configured)
    if isinstance(instance.process, Unknown) and not starts_asterisk(instance.unit):
        return unknown(Name.DUMPCORE, instance.process)  # a script may add -g
    if _dumps_core_anyway(instance):
        found = "neither -g nor dumpcore = yes, but its limits allow a core"
        return warning(Name.DUMPCORE, found, enable_dumpcore(instance))
    return failed(Name.DUMPCORE, "neither -g nor dumpcore = yes: Asterisk leaves no core", enable_dumpcore(instance))


def has_option_g(instance: Instance) -> bool:
    """Return True if -g is on the command line of Asterisk, or of the unit that would start it."""
    process, unit = instance.process, instance.unit
    if not isinstance(process, Unknown):
        return "-g" in parse_options(process.command)
    return unit is not None and "-g" in parse_options(unit.command)


def raises_core_limit(instance: Instance) -> bool:
    """Return True if Asterisk raises its own limit on cores when it starts."""
    return has_option_g(instance) or instance.configured_dumpcore is True


def starts_asterisk(unit: Unit | None) -> bool:
    """Return True if a unit starts Asterisk itself, not a script that may add options."""
    if unit is None or not unit.command:
        return False
    return unit.command[0].endswith(b"/asterisk")


def _dumps_core_anyway(instance: Instance) -> bool:
    """Return True if the limits in force allow a core: those of the process, or of the unit that would start it.

    A process that changes its user (-U) is not dumpable, unless systemd has changed it before (User=).
    """
    process, unit = instance.process, instance.unit
    if not isinstance(process, Unknown):
        return process.core_limit.allows_core and process.dumpable
    if unit is None:
        return False
    changes_user = "-U" in parse_options(unit.command) and unit["User"] in ("", "root")
    return Limit.parse(unit["LimitCORESoft"], unit["LimitCORE"]).allows_core and not changes_user


def check_foreign_processes(processes: Sequence[ForeignProcess]) -> Iterator[Check]:
    """Yield a warning for each process that is called Asterisk and does not count as the PBX."""
    for process in processes:
        yield warning(
            Name.FOREIGN,
            f"pid {process.pid} counts as foreign, not as the PBX: {process.reason}",
            f"if it is the PBX, add {process.user} to asterisk.users in /etc/astbtd.yaml, let only root and that user "
            "write its executable, and run systemctl reload astbtd",
        )
