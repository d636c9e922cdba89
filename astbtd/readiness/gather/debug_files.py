"""Gathers what became of the debug files that astbtd-symbols.service was asked for."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import subprocesses
from astbtd.lib.failure_notes import FailureNotes
from astbtd.settings import SymbolSettings
from astbtd.symbols.debuginfod_client import PROGRAM
from astbtd.symbols.symbol_directories import STEP, SymbolDirectories
from astbtd.symbols.symbol_requests import Result, read_answers

_NOTES = FailureNotes(Path("/run/astbtd-symbols") / f"{STEP}.json")


@dataclass(frozen=True)
class Debuginfod:
    """What became of the debug files that were asked for. `problem` says why none can be obtained.

    `missing` and `refused` count builds. `failure` is why a server could not be asked at the last attempt, None if all
    answered. `unit_failure` is what astbtd-symbols.service fails at, None if it works.
    """

    obtained: int = 0
    missing: int = 0
    refused: int = 0
    failure: str | None = None
    problem: str | None = None
    unit_failure: str | None = None


def read_debuginfod(settings: SymbolSettings, notes: FailureNotes = _NOTES) -> Debuginfod | None:
    """Return what became of them; None if no server is configured. Raise PermissionError if only root may know.

    `notes` are those that the unit keeps.
    """
    if not settings.debuginfod:
        return None
    if shutil.which(PROGRAM, path=subprocesses.ENVIRONMENT["PATH"]) is None:
        return Debuginfod(problem=f"{PROGRAM} is not installed: no debug file can be obtained")
    directories = SymbolDirectories(Path(settings.directory))
    answers = read_answers(directories).values()
    noted = notes.read()
    failures = sorted((each.at, each.reason) for each in answers if each.result is Result.FAILED)
    return Debuginfod(
        obtained=sum(1 for _ in directories.debug.glob(".build-id/*/*.debug")),
        missing=sum(each.result is Result.MISSING for each in answers),
        refused=sum(each.result is Result.REFUSED for each in answers),
        failure=failures[-1][1] if failures else None,
        unit_failure=noted.messages[-1] if noted and noted.messages else None,
    )
