"""The commands and settings that several checks give as a remedy."""

from astbtd.readiness.facts import Family, Instance, StartedBy


def _set_kernel(setting: str, file: str) -> str:
    return f"sysctl -w {setting} && echo {setting} >/etc/sysctl.d/{file}"


def _set_core_pattern(pattern: str) -> str:
    return _set_kernel(f"kernel.core_pattern={pattern}", "60-core-pattern.conf")


CORES_WITH_PID = _set_kernel("kernel.core_uses_pid=1", "60-core-uses-pid.conf")
CORES_IN_WORKING_DIRECTORY = _set_core_pattern("core")
CORES_IN_ONE_DIRECTORY = f"install -d -m 1777 /var/cores && {_set_core_pattern('/var/cores/core.%e.%p')}"


def restart(instance: Instance) -> str:
    """Return the command that restarts Asterisk."""
    if instance.manager is StartedBy.FREEPBX:
        return "fwconsole restart"
    if instance.unit and instance.manager in (StartedBy.UNIT, None):
        return f"systemctl restart {instance.unit.name}"
    return "asterisk -rx 'core restart gracefully'"


def enable_dumpcore(instance: Instance) -> str:
    """Return how to make Asterisk dump core."""
    return f"set dumpcore = yes under [options] in {instance.configuration}, then: {restart(instance)}"


def set_in_unit(instance: Instance, *settings: str) -> str | None:
    """Return how to change settings of Asterisk's unit; None if it has no unit."""
    if instance.unit is None:
        return None
    added = " and ".join(settings)
    return f"systemctl edit {instance.unit.name} and add [Service] {added}, then: {restart(instance)}"


def install_package(family: Family, debian: str, rhel: str) -> str:
    """Return the command that installs a package, given its names in both families."""
    if family is Family.DEBIAN:
        return f"apt install {debian}"
    if family is Family.RHEL:
        return f"dnf install {rhel}"
    return f"install {debian} (Debian) or {rhel} (RHEL)"
