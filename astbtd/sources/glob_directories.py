"""Directories whose names vary: which of them there are, and where the next one will be made."""

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from astbtd.lib.mounts import Mounts

_MOST = 256
"""Directories of one pattern that are watched: an inotify watch each."""


@dataclass(frozen=True)
class ExpandedGlob:
    """The directories that match, and those in which the making of another may bring one more that does.

    `unseen` are such directories as well, on file systems that others serve: nobody looks into them.
    """

    directories: tuple[str, ...]
    parents: tuple[str, ...]
    unseen: tuple[str, ...] = ()


def expand(pattern: str, mounts: Mounts) -> ExpandedGlob:
    """The directories that an absolute glob stands for; what follows its last wildcard need not exist yet."""
    found, parents, unseen = ["/"], [], []
    for part in filter(None, pattern.split("/")):
        if glob.has_magic(part):
            unseen += [directory for directory in found if mounts.served_by_others(directory)]
            found = [directory for directory in found if directory not in unseen]
            parents += found
            found = list(islice(_matching(found, part), _MOST))
        else:
            found = [os.path.join(directory, part) for directory in found]
    return ExpandedGlob(tuple(found), tuple(parents), tuple(unseen))


def literal(directory: str) -> str:
    """The glob for exactly this directory."""
    return glob.escape(directory)


def _matching(directories: Iterable[str], part: str) -> Iterable[str]:
    for directory in directories:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if fnmatchcase(entry.name, part) and entry.is_dir(follow_symlinks=False):
                yield entry.path
