"""Checks the disk space for the core in its directory, and in the store of astbtd."""

import shlex

from astbtd.lib.quantities import format_size
from astbtd.readiness.facts import Directory, Disk, Instance
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.settings import RetentionSettings


def check_core_space(instance: Instance) -> Check | None:
    """Compare the free space with the size of the process; return None if no core file is written on this host."""
    directory, process = instance.directory, instance.process
    if directory is None:
        return None
    if isinstance(directory, Directory) and directory.host_path is None:
        return None
    if isinstance(process, Unknown):
        return unknown(Name.CORE_SPACE, process)
    if isinstance(directory, Unknown):
        return unknown(Name.CORE_SPACE, directory)
    found = f"{format_size(directory.free)} free in {directory.path}, a core takes {format_size(process.resident)}"
    if directory.free < process.resident:
        missing = process.resident - directory.free
        return failed(Name.CORE_SPACE, f"{found}: it would be truncated", _free_space(missing, directory.path))
    return ok(Name.CORE_SPACE, found)


def check_store_space(disk: Disk | Unknown, retention: RetentionSettings, largest_core: int) -> Check:
    """Compare the free space of the store with its reserve, and the limit on kept cores with the size of a core."""
    if isinstance(disk, Unknown):
        return unknown(Name.STORE_SPACE, disk)
    reserve = int(retention.minimum_free * disk.total)
    found = f"{format_size(disk.free)} free in {disk.path}, {format_size(reserve)} of it reserved"
    missing = reserve + largest_core - disk.free
    if missing > 0:
        return warning(Name.STORE_SPACE, f"{found}: cores are not kept", _free_space(missing, disk.path))
    limit = retention.cores.size
    if limit is not None and limit < largest_core:
        found = f"retention.cores.size is {format_size(limit)}, a core takes {format_size(largest_core)}"
        remedy = f"raise retention.cores.size in /etc/astbtd.yaml to {_round_up_to_gib(largest_core)}"
        return warning(Name.STORE_SPACE, found, remedy)
    return ok(Name.STORE_SPACE, found)


def _free_space(missing: int, path: str) -> str:
    return f"free {format_size(missing)} there: df -h {shlex.quote(path)}"


def _round_up_to_gib(size: int) -> str:
    """Return the next whole GiB in the format of the configuration."""
    return f"{(size >> 30) + 1}G"
