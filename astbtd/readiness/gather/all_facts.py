"""Gathers all facts, one after the other."""

import pwd

from astbtd.asterisk import asterisk_processes
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.sandbox_kernel import missing_restrictions
from astbtd.readiness.facts import Coredump, Facts, HostFacts, Kernel
from astbtd.readiness.gather import debug_files, host, systemd_config
from astbtd.readiness.gather.instances import InstanceInspector
from astbtd.readiness.gather.timeout import ask
from astbtd.readiness.result import Unknown
from astbtd.settings import Settings
from astbtd.sources.watched_directories import find_remembered_identity

ASTBTD_UNIT = "astbtd.service"


def gather_facts(settings: Settings) -> Facts:
    """Return all facts that the checks need."""
    kernel = ask("core_pattern", lambda: host.read_kernel(settings.watch.directories, settings.collectors))
    family = host.read_family()
    inspector = InstanceInspector(
        settings.asterisk,
        kernel,
        family,
        gdb_user=_find_gdb_user(settings.gdb.user),
        watched=(*settings.watch.directories, *settings.watch.poll),
    )
    pids = asterisk_processes.running_pids(settings.asterisk.executables)
    identity = find_remembered_identity(settings)
    foreign = list(identity.foreign_processes(settings.asterisk.executables))
    running = [pid for pid in pids if pid not in {process.pid for process in foreign}]
    return Facts(
        HostFacts(
            family=family,
            kernel=kernel,
            coredump=_ask_coredump(kernel),
            gdb=ask(settings.gdb.program, lambda: host.read_gdb(settings.gdb)),
            store=ask("the disk of the store", lambda: host.read_disk(settings.store)),
            journal_persistent=ask("the journal", host.is_journal_persistent),
            astbtd=ask(ASTBTD_UNIT, lambda: systemd_config.read_unit(ASTBTD_UNIT)),
            missing_restrictions=missing_restrictions(),
            debuginfod=ask("debuginfod", lambda: debug_files.read_debuginfod(settings.symbols)),
        ),
        [inspector.inspect_running(pid) for pid in running] or [inspector.inspect_stopped()],
        foreign,
    )


def _ask_coredump(kernel: Kernel | Unknown) -> Coredump | Unknown | None:
    if isinstance(kernel, Unknown):
        return None
    return ask("coredump.conf", lambda: host.read_coredump(kernel.pattern))


def _find_gdb_user(name: str) -> SandboxUser:
    """Return the user that the daemon runs gdb as, even if we are not root; ourselves if that user does not exist."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return SandboxUser(0, 0, switched=False)
    return SandboxUser(entry.pw_uid, entry.pw_gid, switched=True)
