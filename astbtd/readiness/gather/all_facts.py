"""Gathers all facts, one question after the other."""

import pwd

from astbtd.asterisk import asterisk_processes
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.readiness.facts import Coredump, Facts, HostFacts, Kernel
from astbtd.readiness.gather import host, installed_gdb, unit_properties
from astbtd.readiness.gather.instances import InstanceInspector
from astbtd.readiness.gather.timeout import known
from astbtd.readiness.result import Unknown
from astbtd.settings import Settings

OUR_UNIT = "astbtd.service"


def facts(settings: Settings) -> Facts:
    """All that the checks judge."""
    kernel = known("core_pattern", lambda: host.kernel(settings.watch.directories, settings.collectors))
    watched = (*settings.watch.directories, *settings.watch.poll)
    viewer = InstanceInspector(settings.asterisk, kernel, host.family(), _reader(settings.gdb.user), watched)
    instances = [viewer.running(pid) for pid in asterisk_processes.running_pids(settings.asterisk.executables)]
    return Facts(
        HostFacts(
            family=viewer.family,
            kernel=kernel,
            coredump=None if isinstance(kernel, Unknown) else _coredump(kernel),
            gdb=known(settings.gdb.program, lambda: installed_gdb.gdb(settings.gdb)),
            store=known("the disk of the store", lambda: host.disk(settings.store)),
            journal_persistent=known("the journal", host.journal_persistent),
            astbtd=known(OUR_UNIT, lambda: unit_properties.unit(OUR_UNIT)),
        ),
        instances or [viewer.stopped()],
    )


def _coredump(kernel: Kernel) -> Coredump | Unknown | None:
    return known("coredump.conf", lambda: host.coredump(kernel.pattern))


def _reader(user: str) -> SandboxUser:
    """Whom gdb runs as when the daemon starts it, whoever asks; ourselves where there is no such user."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return SandboxUser(0, 0, switched=False)
    return SandboxUser(entry.pw_uid, entry.pw_gid, switched=True)
