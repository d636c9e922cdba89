"""Remember, across restarts, in which directories the PBX works: when its core is complete, the process is gone.

A directory is forgotten when no process of the PBX has used it for as long as cores are kept.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from astbtd.lib import files

_MAX_REMEMBERED = 16
_REFRESH = 86400.0  # seconds after which the time of the last use is written again, so that not every scan writes


def remember(memory: Path, used: Iterable[str], now: float, keep: float | None) -> list[str]:
    """Record that these directories, given as globs, are in use; return all that are remembered, newest first.

    `now` is in seconds since 1970. Those that were not used for `keep` seconds are forgotten; None means never. A file
    that cannot be read now stays as it is.
    """
    used = list(dict.fromkeys(used))
    try:
        known = _read(memory, now)
    except OSError:
        return used
    current = dict.fromkeys(used, now)
    others = sorted(known.items(), key=lambda item: item[1], reverse=True)
    for directory, last_used in others:
        if keep is None or now - last_used <= keep:
            current.setdefault(directory, last_used)
    remembered = dict(list(current.items())[:_MAX_REMEMBERED])
    if remembered.keys() != known.keys() or any(now - known[each] > _REFRESH for each in used if each in known):
        with suppress(OSError):  # the next call tries again
            files.replace(memory, json.dumps(remembered).encode(), files.PRIVATE_FILE_MODE)
    return list(remembered)


def read(memory: Path, now: float) -> dict[str, float]:
    """Return the remembered globs and when they were last used, in seconds since 1970, at most `now`.

    A missing, unreadable or damaged file counts as empty.
    """
    try:
        return _read(memory, now)
    except OSError:
        return {}


def _read(memory: Path, now: float) -> dict[str, float]:
    """Do what `read` does, but raise OSError. Earlier versions wrote the globs alone, separated by NUL."""
    try:
        content = memory.read_bytes()
    except FileNotFoundError:
        return {}
    if content.startswith(b"/"):
        return {name.decode(errors="surrogateescape"): now for name in content.split(b"\0") if name}
    try:
        found = json.loads(content)
        return {str(name): min(float(last_used), now) for name, last_used in found.items()}
    except (ValueError, AttributeError, TypeError):
        return {}
