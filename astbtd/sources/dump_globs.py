"""Where the kernel writes the cores of running processes, as globs: what core_pattern means for each of them."""

import os
from collections.abc import Iterator, Sequence

from astbtd.asterisk import asterisk_processes
from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.sources import glob_directories
from astbtd.sources.core_pattern import CorePattern, Kind


def core_globs(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Yield the directories that the kernel writes cores to, as globs.

    The working directories are always included, because core_pattern may change.
    """
    working_directories = [glob_directories.escape(process.cwd) for process in running if process.cwd]
    yield from working_directories
    if pattern.directory is None:
        return
    if pattern.kind is Kind.ABSOLUTE:
        yield from _absolute_globs(pattern.directory, running)
    elif pattern.directory != ".":
        for working_directory in working_directories:
            yield os.path.join(working_directory, pattern.directory)


def _absolute_globs(directory: str, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Yield the directory of an absolute core_pattern: as it is, and as it is for services with a private /tmp."""
    yield directory
    for process in running:
        host_path = process.host_path(directory)
        if host_path:
            yield host_path


def globs_to_remember(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Yield the working directories, and globs that will match the private directories after a restart."""
    for directory in core_globs(pattern, running):
        if directory != pattern.directory:
            yield asterisk_processes.private_tmp_glob(directory)
