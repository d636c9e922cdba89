"""Runs all checks on the gathered facts."""

from collections.abc import Iterator
from dataclasses import replace

from astbtd.readiness.checks import asterisk_start, core_limits, disk_space, dump_directory, executable, services
from astbtd.readiness.facts import Directory, Facts, HostFacts, Instance, Process
from astbtd.readiness.result import Check, Readiness, Unknown, make_readiness
from astbtd.settings import RetentionSettings


def run_checks(facts: Facts, retention: RetentionSettings) -> Readiness:
    """Determine whether the next crash will give a usable backtrace."""
    checks = [*_host_checks(facts, retention), *asterisk_start.check_foreign_processes(facts.foreign)]
    for instance in facts.instances:
        instance_checks = [check for check in _instance_checks(instance, facts.host) if check]
        if len(facts.instances) > 1:
            instance_checks = [_name_instance(check, instance) for check in instance_checks]
        checks += instance_checks
    return make_readiness(checks)


def _host_checks(facts: Facts, retention: RetentionSettings) -> Iterator[Check]:
    host = facts.host
    yield dump_directory.check_core_pattern(host.kernel)
    yield dump_directory.check_core_uses_pid(host.kernel, host.astbtd)
    yield disk_space.check_store_space(host.store, retention, _largest_core(facts))
    yield services.check_gdb(host.gdb, host.family)
    yield services.check_sandbox(host.missing_restrictions)
    if host.debuginfod is not None:
        yield services.check_debuginfod(host.debuginfod)
    yield services.check_journal(host.journal_persistent)
    yield services.check_astbtd_unit(host.astbtd, _core_directories(facts))


def _largest_core(facts: Facts) -> int:
    """Return the size of the largest core that a running Asterisk can leave; 0 if none is running."""
    processes = [instance.process for instance in facts.instances if isinstance(instance.process, Process)]
    return max((process.resident for process in processes), default=0)


def _core_directories(facts: Facts) -> tuple[str, ...]:
    """Return the directories that astbtd.service must be able to access."""
    kernel = facts.host.kernel
    found = [] if isinstance(kernel, Unknown) else list(kernel.collections)
    for instance in facts.instances:
        if isinstance(instance.directory, Directory) and instance.directory.host_path:
            found.append(instance.directory.host_path)
    return tuple(dict.fromkeys(found))


def _instance_checks(instance: Instance, host: HostFacts) -> Iterator[Check | None]:
    yield asterisk_start.check_asterisk(instance)
    yield asterisk_start.check_dumpcore(instance)
    yield core_limits.check_core_limit(instance)
    yield core_limits.check_unit_core_limit(instance)
    yield core_limits.check_dumpable(instance, host.kernel)
    yield dump_directory.check_core_name(instance, host.kernel)
    yield dump_directory.check_core_directory(instance, host.astbtd)
    yield dump_directory.check_blocked_core(instance)
    yield disk_space.check_core_space(instance)
    yield services.check_systemd_coredump(host.coredump, instance.process)
    yield executable.check_readable(instance)
    yield executable.check_symbols(instance, host.family)
    yield from executable.check_build_options(instance, host.family)
    yield executable.check_up_to_date(instance)


def _name_instance(check: Check, instance: Instance) -> Check:
    """Add the process id to the result of a check, to distinguish several Asterisk processes."""
    prefix = "stopped" if isinstance(instance.process, Unknown) else f"pid {instance.process.pid}"
    if check.found.startswith(prefix):
        return check
    return replace(check, found=f"{prefix}: {check.found}")
