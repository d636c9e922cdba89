"""Decides which directories cores of Asterisk can appear in, and says which of them cannot be watched.

A working directory once seen is remembered: its Asterisk is gone by the time its core is complete.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from astbtd import durable
from astbtd.intake import asterisk, core_pattern
from astbtd.intake.asterisk import RunningAsterisk
from astbtd.intake.core_pattern import CorePattern, Kind
from astbtd.intake.file_system import Mounts
from astbtd.settings import Settings

_MOST_REMEMBERED = 16


@dataclass(frozen=True)
class Places:
    """Directories by what they are watched for; `unwatched` are sentences for people.

    `asterisks` are the processes that were seen; others in the same places are no change of the places.
    """

    cores: tuple[str, ...]
    starts: tuple[str, ...]
    unwatched: tuple[str, ...]
    asterisks: frozenset[int] = field(default=frozenset(), compare=False)


def current(settings: Settings, memory: Path | None = None) -> Places:
    """The places as the settings, the kernel and the running Asterisk name them now.

    `memory` is a file of ours with the directories of earlier Asterisks; they are places too, and new ones are added.
    """
    running = asterisk.running(settings.asterisk.executables)
    run_directory = settings.asterisk.run_directory or asterisk.run_directory(Path(settings.asterisk.configuration))
    mounts = Mounts.now(settings.watch.poll)
    configured = (*settings.watch.directories, *settings.watch.poll)
    places = combine(configured, _pattern(), running, run_directory, mounts)
    if memory is None:
        return places
    learned = _remember(memory, [each.cwd for each in running if each.cwd])
    return replace(places, cores=_real([*places.cores, *learned], mounts))


def combine(
    configured: Sequence[str],
    pattern: CorePattern,
    running: Sequence[RunningAsterisk],
    run_directory: str,
    mounts: Mounts,
) -> Places:
    """The places that follow from what is configured and what runs; directories by their real names, each once."""
    cores = [*configured, *_dumped_into(pattern, running)]
    hidden = [f"Asterisk, pid {each.pid}: {each.hidden}" for each in running if each.hidden]
    unwatched = [*([pattern.unwatched] if pattern.unwatched else []), *hidden]
    asterisks = frozenset(each.pid for each in running)
    return Places(_real(cores, mounts), _real([run_directory], mounts), tuple(unwatched), asterisks)


def _pattern() -> CorePattern:
    try:
        return core_pattern.current()
    except OSError:
        return core_pattern.parse("")


def _dumped_into(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Where the kernel writes the cores; working directories always, since core_pattern may change."""
    yield from (each.cwd for each in running if each.cwd)
    if pattern.unwatched or pattern.directory is None:
        return
    if pattern.kind is Kind.ABSOLUTE:
        yield pattern.directory
    elif pattern.directory != ".":
        yield from (os.path.join(each.cwd, pattern.directory) for each in running if each.cwd)


def _remember(memory: Path, directories: Sequence[str]) -> list[str]:
    """The directories remembered, the newest first, with `directories` added."""
    try:
        known = [os.fsdecode(name) for name in memory.read_bytes().split(b"\0") if name]
    except FileNotFoundError:
        known = []
    learned = list(dict.fromkeys([*directories, *known]))[:_MOST_REMEMBERED]
    if set(learned) != set(known):
        durable.replace(memory, b"\0".join(map(os.fsencode, learned)), durable.PRIVATE_FILE_MODE)
    return learned


def _real(directories: Sequence[str], mounts: Mounts) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mounts.real(directory) for directory in directories))
