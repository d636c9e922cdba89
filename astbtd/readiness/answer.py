"""Brings all checks together into the answer."""

from collections.abc import Iterator
from dataclasses import replace

from astbtd.readiness import collector, debugger, destination, disk, limits, program, service, starting
from astbtd.readiness.check import Check, Readiness, Unknown, judged
from astbtd.readiness.facts import Directory, Facts, Instance, Machine, Process
from astbtd.settings import RetentionSettings


def answer(facts: Facts, retention: RetentionSettings) -> Readiness:
    """Will the next crash give a usable backtrace?"""
    checks = list(_of_the_machine(facts, retention))
    for instance in facts.instances:
        mine = [check for check in _of_an_asterisk(instance, facts.machine) if check]
        checks += mine if len(facts.instances) == 1 else [_named(check, instance) for check in mine]
    return judged(checks)


def _of_the_machine(facts: Facts, retention: RetentionSettings) -> Iterator[Check]:
    machine = facts.machine
    processes = [each.process for each in facts.instances if isinstance(each.process, Process)]
    directories = [each.directory for each in facts.instances if isinstance(each.directory, Directory)]
    kept_in = () if isinstance(machine.kernel, Unknown) else machine.kernel.kept_in
    places = dict.fromkeys([*kept_in, *(each.here for each in directories if each.here)])
    yield destination.core_pattern(machine.kernel)
    yield destination.core_uses_pid(machine.kernel, machine.astbtd)
    yield disk.store_space(machine.store, retention, max((each.resident for each in processes), default=0))
    yield debugger.gdb(machine.gdb, machine.family)
    yield service.journal(machine.journal_persistent)
    yield service.astbtd_unit(machine.astbtd, tuple(places))


def _of_an_asterisk(instance: Instance, machine: Machine) -> Iterator[Check | None]:
    yield starting.asterisk(instance)
    yield starting.dumpcore(instance)
    yield limits.core_limit(instance)
    yield limits.unit_core_limit(instance)
    yield limits.dumpable(instance, machine.kernel)
    yield destination.core_directory(instance, machine.astbtd)
    yield destination.blocked_core(instance)
    yield disk.core_space(instance)
    yield collector.systemd_coredump(machine.coredump, instance.process)
    yield program.readable(instance)
    yield program.symbols(instance, machine.family)
    yield from program.build_options(instance, machine.family)
    yield program.up_to_date(instance)


def _named(check: Check, instance: Instance) -> Check:
    """Says which of several Asterisks is meant."""
    who = "stopped" if isinstance(instance.process, Unknown) else f"pid {instance.process.pid}"
    return check if check.found.startswith(who) else replace(check, found=f"{who}: {check.found}")
