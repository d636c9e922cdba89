"""Checks that there is room for the core where the kernel writes it, and for what astbtd makes of it."""

import shlex

from astbtd.lib.quantities import shown_size
from astbtd.readiness.facts import Directory, Disk, Instance
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.settings import RetentionSettings


def core_space(instance: Instance) -> Check | None:
    """Free space against the size of the process; None where the kernel writes none that we see."""
    directory, process = instance.directory, instance.process
    if directory is None or (isinstance(directory, Directory) and directory.here is None):
        return None
    if isinstance(process, Unknown):
        return unknown(Name.CORE_SPACE, process)
    if isinstance(directory, Unknown):
        return unknown(Name.CORE_SPACE, directory)
    room = f"{shown_size(directory.free)} free in {directory.path}, a core takes {shown_size(process.resident)}"
    if directory.free < process.resident:
        missing = shown_size(process.resident - directory.free)
        return failed(Name.CORE_SPACE, f"{room}: it would be cut short", _free(missing, directory.path))
    return ok(Name.CORE_SPACE, room)


def store_space(disk: Disk | Unknown, retention: RetentionSettings, largest: int) -> Check:
    """Free space of the store against its reserve, and the limit on kept cores against the size of a process."""
    if isinstance(disk, Unknown):
        return unknown(Name.STORE_SPACE, disk)
    reserve = int(retention.minimum_free * disk.total)
    room = f"{shown_size(disk.free)} free in {disk.path}, of which {shown_size(reserve)} stay free"
    if disk.free - largest < reserve:
        missing = shown_size(reserve + largest - disk.free)
        return warning(Name.STORE_SPACE, f"{room}: cores are not kept", _free(missing, disk.path))
    limit = retention.cores.size
    if limit is not None and limit < largest:
        found = f"retention.cores.size is {shown_size(limit)}, a core takes {shown_size(largest)}"
        return warning(Name.STORE_SPACE, found, f"raise retention.cores.size in /etc/astbtd.yaml to {_above(largest)}")
    return ok(Name.STORE_SPACE, room)


def _free(missing: str, path: str) -> str:
    return f"free {missing} there: df -h {shlex.quote(path)}"


def _above(size: int) -> str:
    """The next whole GiB, as the configuration spells it."""
    return f"{(size >> 30) + 1}G"
