"""Checks the services beside Asterisk: whether the journal outlives a reboot, and whether astbtd sees each place."""

from collections.abc import Iterator, Sequence

from astbtd.readiness.facts import Unit, is_below
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning

_HOMES = ("/home", "/root", "/run/user")
_PERSISTENT = (
    "mkdir -p /etc/systemd/journald.conf.d && "
    "printf '[Journal]\\nStorage=persistent\\n' >/etc/systemd/journald.conf.d/zz-persistent.conf && "
    "systemctl restart systemd-journald && journalctl --flush"
)


def journal(persistent: bool | Unknown) -> Check:
    """Whether journald keeps what is announced across a reboot."""
    if isinstance(persistent, Unknown):
        return unknown(Name.JOURNAL, persistent)
    if persistent:
        return ok(Name.JOURNAL, "persistent")
    found = "kept in memory: announcements are gone after a reboot (the store is not)"
    return warning(Name.JOURNAL, found, _PERSISTENT)


def astbtd_unit(unit: Unit | Unknown, places: Sequence[str]) -> Check:
    """Whether astbtd.service runs, and its sandbox lets it see every place."""
    if isinstance(unit, Unknown):
        return unknown(Name.ASTBTD_UNIT, unit)
    if unit["LoadState"] != "loaded":
        return warning(Name.ASTBTD_UNIT, "astbtd is not installed as a service", "make install")
    for place in places:
        if setting := next(_hiding(unit, place), None):
            name, value = setting
            remedy = f"systemctl edit {unit.name} and add [Service] {name}={value}, then: systemctl restart {unit.name}"
            return failed(Name.ASTBTD_UNIT, f"{name}={unit[name]} hides {place} from {unit.name}", remedy)
    if unit["ActiveState"] not in ("active", "activating", "reloading"):
        found = f"{unit.name} does not run: cores wait until it does"
        return warning(Name.ASTBTD_UNIT, found, f"systemctl enable --now {unit.name}")
    if unit["UnitFileState"] == "disabled":
        found = f"{unit.name} runs, but is not started at boot"
        return warning(Name.ASTBTD_UNIT, found, f"systemctl enable {unit.name}")
    return ok(Name.ASTBTD_UNIT, f"{unit.name} runs and sees {', '.join(places) or 'all places'}")


def _hiding(unit: Unit, place: str) -> Iterator[tuple[str, str]]:
    """The settings of systemd.exec(5) that put something else in the place of a directory, and what undoes them."""
    if unit.has("ProtectHome") and is_below(place, _HOMES):
        yield "ProtectHome", "no"
    if unit.makes_private(place):
        yield "PrivateTmp", "no"
    for name in ("InaccessiblePaths", "TemporaryFileSystem"):
        if is_below(place, unit.paths(name)):
            yield name, ""
