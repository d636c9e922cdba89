"""Finds where safe_asterisk, the script that restarts Asterisk, moves the cores that it finds.

Its DUMPDROP comes from its environment or from the scripts in startup.d, which it reads at start
(contrib/scripts/safe_asterisk in Asterisk's sources). All that belongs to the asterisk user: parsed, never evaluated.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from astbtd.asterisk import asterisk_processes
from astbtd.lib.mounts import Mounts
from astbtd.lib.safe_open import open_regular

_PROC = Path("/proc")
_SCRIPT = b"safe_asterisk"
_DEFAULT = "/tmp"  # noqa: S108 - safe_asterisk's own, which is only read
_ASSIGNMENT = re.compile(r"""^\s*(?:export\s+)?DUMPDROP=["']?(/[^"'$`;\s]*)["']?\s*(?:#.*)?$""", re.MULTILINE)
_LARGEST = 1 << 16


def dump_drops(configuration: Path) -> tuple[str, ...]:
    """The directories that running safe_asterisks move cores to; `configuration` is the asterisk.conf."""
    running = [pid for pid in asterisk_processes.pids() if _is_safe_asterisk(pid)]
    if not running:
        return ()
    scripts, mounts = configuration.parent / "startup.d", Mounts.now()
    told = not mounts.served_by_others(mounts.real(str(scripts)))
    configured = list(_configured(scripts)) if told else []
    return tuple(dict.fromkeys(configured[-1] if configured else _inherited(pid) or _DEFAULT for pid in running))


def _is_safe_asterisk(pid: int) -> bool:
    """A script has its own name as its comm, cut to 15 characters, unless its interpreter was called with it."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        return False
    return any(os.path.basename(word) == _SCRIPT for word in words)


def _configured(directory: Path) -> Iterator[str]:
    for script in sorted(directory.glob("*.sh")):
        try:
            descriptor = open_regular(script)
        except OSError:
            continue
        try:
            yield from _ASSIGNMENT.findall(os.pread(descriptor, _LARGEST, 0).decode(errors="replace"))
        finally:
            os.close(descriptor)


def _inherited(pid: int) -> str | None:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    named = [
        os.fsdecode(value) for name, _, value in (each.partition(b"=") for each in variables) if name == b"DUMPDROP"
    ]
    return next((value for value in named if value.startswith("/")), None)
