"""Checks gdb and the services beside Asterisk: systemd-coredump, the journal, and astbtd.service."""

from collections.abc import Iterator, Sequence

from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_size, pluralize
from astbtd.readiness.facts import Coredump, Family, Gdb, Process, Unit, is_below
from astbtd.readiness.gather.debug_files import Debuginfod
from astbtd.readiness.remedies import install_package
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning

_OLDEST_GDB = 13  # the oldest version that astbtd is tested with: that of Debian 12
_COREDUMP_DROP_IN = "/etc/systemd/coredump.conf.d/zz-astbtd.conf"  # the name sorts last, so it overrides the others
_ENABLE_LANDLOCK = (
    "run a kernel with CONFIG_SECURITY_LANDLOCK and CONFIG_SECCOMP_FILTER; if /sys/kernel/security/lsm lacks landlock,"
    " add it to lsm= of the kernel command line"
)
_RETRY_DEBUGINFOD = "journalctl -u astbtd-symbols; systemctl start astbtd-symbols"
_INSTALL_DEBUGINFOD = "apt install debuginfod (Fedora and RHEL: dnf install elfutils-debuginfod-client)"
_HOMES = ("/home", "/root", "/run/user")
_MAKE_JOURNAL_PERSISTENT = (
    "mkdir -p /etc/systemd/journald.conf.d && "
    "printf '[Journal]\\nStorage=persistent\\n' >/etc/systemd/journald.conf.d/zz-persistent.conf && "
    "systemctl restart systemd-journald && journalctl --flush"
)


def check_gdb(gdb: Gdb | Unknown, family: Family) -> Check:
    """Check that gdb is installed, with a supported version and Python."""
    if isinstance(gdb, Unknown):
        return unknown(Name.GDB, gdb)
    install_gdb = install_package(family, "gdb", "gdb")
    if gdb.problem:
        return failed(Name.GDB, gdb.problem, gdb.remedy or install_gdb)
    if not gdb.python:
        found = f"{gdb.program} {gdb.version} has no Python: only backtrace.txt is written"
        return warning(Name.GDB, found, install_gdb)
    major = int((gdb.version or "0").partition(".")[0])
    if major < _OLDEST_GDB:
        found = f"{gdb.program} {gdb.version} is older than {_OLDEST_GDB}, the oldest version tested with astbtd"
        return warning(Name.GDB, found, "set gdb.program in /etc/astbtd.yaml to a newer one")
    return ok(Name.GDB, f"{gdb.program} {gdb.version}, with Python")


def check_sandbox(missing: Sequence[str]) -> Check:
    """Check that the kernel can restrict gdb. Without that, gdb runs with what restrictions there are."""
    if missing:
        return warning(Name.SANDBOX, "; ".join(missing), _ENABLE_LANDLOCK)
    return ok(Name.SANDBOX, "Landlock and a system call filter confine gdb")


def check_debuginfod(debuginfod: Debuginfod | Unknown) -> Check:
    """Check that debug files could be obtained from the configured servers."""
    if isinstance(debuginfod, Unknown):
        return unknown(Name.DEBUGINFOD, debuginfod)
    if debuginfod.problem:
        return warning(Name.DEBUGINFOD, debuginfod.problem, _INSTALL_DEBUGINFOD)
    if debuginfod.unit_failure:
        found = f"astbtd-symbols.service cannot work: {printable_line(debuginfod.unit_failure)}"
        return warning(Name.DEBUGINFOD, found, _RETRY_DEBUGINFOD)
    if debuginfod.failure:
        found = f"a server of symbols.debuginfod could not be asked: {debuginfod.failure}"
        return warning(Name.DEBUGINFOD, found, _RETRY_DEBUGINFOD)
    refused = f", {debuginfod.refused} refused" if debuginfod.refused else ""
    found = f"debug files of {pluralize(debuginfod.obtained, 'build', 'builds')} obtained"
    return ok(Name.DEBUGINFOD, f"{found}; of those wanted, {debuginfod.missing} on no server{refused}")


def check_systemd_coredump(coredump: Coredump | Unknown | None, process: Process | Unknown) -> Check | None:
    """Check that systemd-coredump stores cores of Asterisk's size; return None if it does not receive them.

    Its limits are Storage=, ExternalSizeMax= and ProcessSizeMax=.
    """
    if coredump is None:
        return None
    if isinstance(coredump, Unknown):
        return unknown(Name.SYSTEMD_COREDUMP, coredump)
    if coredump.storage != "external":
        found = f"Storage={coredump.storage}: no core is stored as a file"
        return failed(Name.SYSTEMD_COREDUMP, found, _set_in_coredump_conf("Storage=external"))
    size = 0 if isinstance(process, Unknown) else process.writable
    found = f"a core may take {format_size(size)}, more than"
    if _exceeds(size, coredump.external_size):
        remedy = _set_in_coredump_conf("ExternalSizeMax=infinity")
        return failed(Name.SYSTEMD_COREDUMP, f"{found} ExternalSizeMax= of systemd-coredump", remedy)
    if _exceeds(size, coredump.process_size):
        remedy = _set_in_coredump_conf("ProcessSizeMax=infinity")
        return warning(Name.SYSTEMD_COREDUMP, f"{found} ProcessSizeMax= of systemd-coredump", remedy)
    return ok(Name.SYSTEMD_COREDUMP, "it stores cores of this size as files")


def check_journal(persistent: bool | Unknown) -> Check:
    """Check that the journal survives a reboot."""
    if isinstance(persistent, Unknown):
        return unknown(Name.JOURNAL, persistent)
    if persistent:
        return ok(Name.JOURNAL, "persistent")
    found = "kept in memory: journal entries are lost at a reboot (the store is not)"
    return warning(Name.JOURNAL, found, _MAKE_JOURNAL_PERSISTENT)


def check_astbtd_unit(unit: Unit | Unknown, directories: Sequence[str]) -> Check:
    """Check that astbtd.service is running, and that its sandbox hides none of the directories with cores."""
    if isinstance(unit, Unknown):
        return unknown(Name.ASTBTD_UNIT, unit)
    if unit["LoadState"] != "loaded":
        return warning(Name.ASTBTD_UNIT, "astbtd is not installed as a service", "make install")
    for directory in directories:
        for setting, visible_value in _hiding_settings(unit, directory):
            edit = f"systemctl edit {unit.name} and add [Service] {setting}={visible_value}"
            found = f"{setting}={unit[setting]} hides {directory} from {unit.name}"
            return failed(Name.ASTBTD_UNIT, found, f"{edit}, then: systemctl restart {unit.name}")
    if unit["ActiveState"] not in ("active", "activating", "reloading"):
        found = f"{unit.name} is not running: cores are not collected until it is"
        return warning(Name.ASTBTD_UNIT, found, f"systemctl enable --now {unit.name}")
    if unit["UnitFileState"] == "disabled":
        found = f"{unit.name} is running, but not started at boot"
        return warning(Name.ASTBTD_UNIT, found, f"systemctl enable {unit.name}")
    return ok(Name.ASTBTD_UNIT, f"{unit.name} is running and can access {', '.join(directories) or 'all directories'}")


def _exceeds(size: int, limit: int | None) -> bool:
    """Return True if a core is too large. With a limit of 0 nothing is stored, whatever the size."""
    return limit is not None and (size > limit or limit == 0)


def _set_in_coredump_conf(setting: str) -> str:
    return f"mkdir -p /etc/systemd/coredump.conf.d && printf '[Coredump]\\n{setting}\\n' >>{_COREDUMP_DROP_IN}"


def _hiding_settings(unit: Unit, directory: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of systemd.exec(5) that hide a directory from a unit, with a value that does not."""
    if unit.is_enabled("ProtectHome") and is_below(directory, _HOMES):
        yield "ProtectHome", "no"
    if unit.hides_tmp(directory):
        yield "PrivateTmp", "no"
    for name in ("InaccessiblePaths", "TemporaryFileSystem"):
        if is_below(directory, unit.paths(name)):
            yield name, ""
