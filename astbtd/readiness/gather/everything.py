"""Gathers all facts, one question after the other."""

import pwd

from astbtd.extraction.confinement import Account
from astbtd.intake import asterisk
from astbtd.readiness.check import Unknown
from astbtd.readiness.facts import Coredump, Facts, Kernel, Machine
from astbtd.readiness.gather import debugger, machine, units
from astbtd.readiness.gather.asking import known
from astbtd.readiness.gather.instances import Viewer
from astbtd.settings import Settings

OUR_UNIT = "astbtd.service"


def facts(settings: Settings) -> Facts:
    """All that the checks judge."""
    kernel = known("core_pattern", lambda: machine.kernel(settings.watch.directories, settings.collectors))
    watched = (*settings.watch.directories, *settings.watch.poll)
    viewer = Viewer(settings.asterisk, kernel, machine.family(), _reader(settings.gdb.user), watched)
    instances = [viewer.running(pid) for pid in asterisk.running_pids(settings.asterisk.executables)]
    return Facts(
        Machine(
            family=viewer.family,
            kernel=kernel,
            coredump=None if isinstance(kernel, Unknown) else _coredump(kernel),
            gdb=known(settings.gdb.program, lambda: debugger.gdb(settings.gdb)),
            store=known("the disk of the store", lambda: machine.disk(settings.store)),
            journal_persistent=known("the journal", machine.journal_persistent),
            astbtd=known(OUR_UNIT, lambda: units.unit(OUR_UNIT)),
        ),
        instances or [viewer.stopped()],
    )


def _coredump(kernel: Kernel) -> Coredump | Unknown | None:
    return known("coredump.conf", lambda: machine.coredump(kernel.pattern))


def _reader(user: str) -> Account:
    """Whom gdb runs as when the daemon starts it, whoever asks; ourselves where there is no such user."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return Account(0, 0, switched=False)
    return Account(entry.pw_uid, entry.pw_gid, switched=True)
