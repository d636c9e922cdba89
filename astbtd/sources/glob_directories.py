"""Expands directory globs, and finds the directories in which a new match can appear."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from astbtd.lib.mounts import Mounts

_MAX_MATCHES = 256
"""Directories watched for one pattern; each needs an inotify watch."""


@dataclass(frozen=True)
class ExpandedGlob:
    """The expansion of a directory glob.

    `directories` match the glob. `parents` are the directories in which a new subdirectory can lead to another match.
    `remote_parents` are such directories on remote file systems; they are not listed, because that may block.
    """

    directories: tuple[str, ...]
    parents: tuple[str, ...]
    remote_parents: tuple[str, ...] = ()


def expand(pattern: str, mounts: Mounts) -> ExpandedGlob:
    """Expand an absolute directory glob. The part after the last wildcard need not exist yet."""
    found = ["/"]
    parents: list[str] = []
    remote_parents: list[str] = []
    for part in pattern.split("/"):
        if not part:
            continue
        if not glob.has_magic(part):
            found = [os.path.join(directory, part) for directory in found]
            continue
        local: list[str] = []
        for directory in found:
            (remote_parents if mounts.remote_mount(directory) else local).append(directory)
        parents += local
        found = list(islice(_matching_subdirectories(local, part), _MAX_MATCHES))
    return ExpandedGlob(tuple(found), tuple(parents), tuple(remote_parents))


def expand_all(patterns: Iterable[str], mounts: Mounts) -> ExpandedGlob:
    """Expand several globs into one result."""
    directories: list[str] = []
    parents: list[str] = []
    remote_parents: list[str] = []
    for pattern in patterns:
        expanded = expand(pattern, mounts)
        directories += expanded.directories
        parents += expanded.parents
        remote_parents += expanded.remote_parents
    return ExpandedGlob(tuple(directories), tuple(parents), tuple(remote_parents))


def escape(directory: str) -> str:
    """Return the glob that matches exactly this directory."""
    return glob.escape(directory)


def _matching_subdirectories(directories: Iterable[str], part: str) -> Iterator[str]:
    for directory in directories:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if fnmatchcase(entry.name, part) and entry.is_dir(follow_symlinks=False):
                yield entry.path
