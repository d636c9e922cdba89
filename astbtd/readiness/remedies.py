"""The commands and settings that several checks advise."""

from astbtd.readiness.facts import Family, Instance, StartedBy


def _pattern(text: str) -> str:
    setting = f"kernel.core_pattern={text}"
    return f"sysctl -w {setting} && echo {setting} >/etc/sysctl.d/60-core-pattern.conf"


CORES_AS_FILES = _pattern("core")
CORES_IN_ONE_PLACE = f"install -d -m 1777 /var/cores && {_pattern('/var/cores/core.%e.%p')}"


def restart(instance: Instance) -> str:
    """The command that starts Asterisk again."""
    if instance.manager is StartedBy.FREEPBX:
        return "fwconsole restart"
    if instance.unit and instance.manager in (StartedBy.UNIT, None):
        return f"systemctl restart {instance.unit.name}"
    return "asterisk -rx 'core restart gracefully'"


def dump_core(instance: Instance) -> str:
    """How Asterisk is told to dump core."""
    return f"set dumpcore = yes under [options] in {instance.configuration}, then: {restart(instance)}"


def in_unit(instance: Instance, *settings: str) -> str | None:
    """How settings get into Asterisk's unit; None where it has none."""
    if instance.unit is None:
        return None
    added = " and ".join(settings)
    return f"systemctl edit {instance.unit.name} and add [Service] {added}, then: {restart(instance)}"


def install(family: Family, debian: str, rhel: str) -> str:
    """The command that installs a package, under whichever name it has."""
    if family is Family.OTHER:
        return f"install {debian} (Debian) or {rhel} (RHEL)"
    return f"apt install {debian}" if family is Family.DEBIAN else f"dnf install {rhel}"
