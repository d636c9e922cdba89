"""Find out whether gdb works at all: run it once without a core, confined as for one."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass

from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import SandboxUser, kill_leftovers, sandboxed_command
from astbtd.extraction.sandbox_kernel import run_sandboxed
from astbtd.lib import subprocesses
from astbtd.model.crash import ExtractionOutcome
from astbtd.settings import GdbSettings

Watch = Callable[[], ExtractionOutcome | None]
"""Returns a reason to end gdb, or raises one; see `subprocesses.run`."""

_SECONDS = 30.0
_ENDED_BY_US = (ExtractionOutcome.TIMEOUT, ExtractionOutcome.TOO_MUCH_OUTPUT)
_LONGEST_OUTPUT = 1 << 16  # bytes
_PYTHON_WORKS = "astbtd found Python"
_PROBE = ("-nx", "-nh", "--batch", "-ex", "show version", "-ex", f"python print('{_PYTHON_WORKS}')")
_VERSION = re.compile(r"^GNU gdb .*?([0-9][0-9.]*)\S*$", re.MULTILINE)


class GdbCannotStart(AstbtdError):
    """gdb is missing or does not start: a fault of the machine, which no core can be blamed for."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"gdb cannot start: {reason}", remedy)


@dataclass(frozen=True)
class WorkingGdb:
    """A gdb that starts: its version, and whether it has Python."""

    version: str
    python: bool


def require_installed(program: str) -> None:
    """Raise GdbCannotStart if there is no such program."""
    if shutil.which(program, path=subprocesses.ENVIRONMENT["PATH"]) is None:
        raise GdbCannotStart(
            f"{program} is not installed", "apt install gdb (RHEL family: dnf install gdb), or set gdb.program"
        )


def probe_gdb(
    settings: GdbSettings,
    user: SandboxUser,
    seconds: float = _SECONDS,
    watch: Watch = subprocesses.never,
) -> WorkingGdb:
    """Run gdb. Raise GdbCannotStart if it is missing or prints no version, and whatever `watch` raises."""
    require_installed(settings.program)
    ended, text = _run_probe(sandboxed_command([settings.program, *_PROBE], user, settings), seconds, watch)
    version = _VERSION.search(text)
    if version is None:
        raise GdbCannotStart(_describe(text, ended), _remedy(settings.program))
    return WorkingGdb(version[1], python=_PYTHON_WORKS in text)


def require_working(settings: GdbSettings, user: SandboxUser, failed: subprocesses.Finished, watch: Watch) -> None:
    """Raise GdbCannotStart if the run `failed`, which gave nothing, is not to be blamed on its core.

    A gdb that ran out of time or memory, or wrote too much, had started.
    """
    if failed.ended in _ENDED_BY_US or failed.status == -signal.SIGKILL:
        return
    with kill_leftovers(user):
        probe_gdb(settings, user, watch=watch)


def _run_probe(argv: list[str], seconds: float, watch: Watch) -> tuple[ExtractionOutcome, str]:
    """Return how the probe ended, and the start of its output, standard error included."""
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        finished = subprocesses.run(
            argv, timeout=seconds, output=descriptor, watch=watch, starter=run_sandboxed, kill_first=True
        )
        return finished.ended, os.pread(descriptor, _LONGEST_OUTPUT, 0).decode(errors="replace")
    finally:
        os.close(descriptor)


def _describe(text: str, ended: ExtractionOutcome) -> str:
    """Return the last line that gdb, or the loader in its place, has printed."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else f"it prints no version ({ended})"


def _remedy(program: str) -> str:
    path = shutil.which(program, path=subprocesses.ENVIRONMENT["PATH"]) or program
    return (
        f"run `{path} --version`; if it lacks a library, install the package of that library again; if it works, raise "
        "gdb.address_space"
    )
