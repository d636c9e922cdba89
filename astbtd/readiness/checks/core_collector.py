"""Checks that systemd-coredump, where it collects the cores, stores those of Asterisk as files."""

from astbtd.lib.quantities import shown_size
from astbtd.readiness.facts import Coredump, Process
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning

_DROP_IN = "/etc/systemd/coredump.conf.d/zz-astbtd.conf"  # after all others, which it has to win against


def systemd_coredump(coredump: Coredump | Unknown | None, process: Process | Unknown) -> Check | None:
    """Its own limits: Storage=, ExternalSizeMax=, ProcessSizeMax=; None where it does not collect the cores."""
    if coredump is None:
        return None
    if isinstance(coredump, Unknown):
        return unknown(Name.SYSTEMD_COREDUMP, coredump)
    if coredump.storage != "external":
        found = f"Storage={coredump.storage}: no core is stored as a file"
        return failed(Name.SYSTEMD_COREDUMP, found, _set("Storage=external"))
    size = 0 if isinstance(process, Unknown) else process.writable
    if _exceeds(size, coredump.external_size):
        return failed(Name.SYSTEMD_COREDUMP, _too_large("ExternalSizeMax", size), _set("ExternalSizeMax=infinity"))
    if _exceeds(size, coredump.process_size):
        return warning(Name.SYSTEMD_COREDUMP, _too_large("ProcessSizeMax", size), _set("ProcessSizeMax=infinity"))
    return ok(Name.SYSTEMD_COREDUMP, "it stores cores of this size as files")


def _exceeds(size: int, limit: int | None) -> bool:
    """Nothing is stored below a limit of 0, however large Asterisk is."""
    return limit is not None and (size > limit or limit == 0)


def _too_large(setting: str, size: int) -> str:
    return f"a core may take {shown_size(size)}, more than {setting}= of systemd-coredump"


def _set(setting: str) -> str:
    return f"mkdir -p /etc/systemd/coredump.conf.d && printf '[Coredump]\\n{setting}\\n' >>{_DROP_IN}"
