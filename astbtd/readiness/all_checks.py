"""Brings all checks together into the answer."""

from collections.abc import Iterator
from dataclasses import replace

from astbtd.readiness.checks import (
    asterisk_start,
    core_collector,
    core_limits,
    disk_space,
    dump_directory,
    executable,
    gdb_version,
    services,
)
from astbtd.readiness.facts import Directory, Facts, HostFacts, Instance, Process
from astbtd.readiness.result import Check, Readiness, Unknown, judged
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
    yield dump_directory.core_pattern(machine.kernel)
    yield dump_directory.core_uses_pid(machine.kernel, machine.astbtd)
    yield disk_space.store_space(machine.store, retention, max((each.resident for each in processes), default=0))
    yield gdb_version.gdb(machine.gdb, machine.family)
    yield services.journal(machine.journal_persistent)
    yield services.astbtd_unit(machine.astbtd, tuple(places))


def _of_an_asterisk(instance: Instance, machine: HostFacts) -> Iterator[Check | None]:
    yield asterisk_start.asterisk(instance)
    yield asterisk_start.dumpcore(instance)
    yield core_limits.core_limit(instance)
    yield core_limits.unit_core_limit(instance)
    yield core_limits.dumpable(instance, machine.kernel)
    yield dump_directory.core_directory(instance, machine.astbtd)
    yield dump_directory.blocked_core(instance)
    yield disk_space.core_space(instance)
    yield core_collector.systemd_coredump(machine.coredump, instance.process)
    yield executable.readable(instance)
    yield executable.symbols(instance, machine.family)
    yield from executable.build_options(instance, machine.family)
    yield executable.up_to_date(instance)


def _named(check: Check, instance: Instance) -> Check:
    """Says which of several Asterisks is meant."""
    who = "stopped" if isinstance(instance.process, Unknown) else f"pid {instance.process.pid}"
    return check if check.found.startswith(who) else replace(check, found=f"{who}: {check.found}")
