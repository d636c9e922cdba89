"""Asks systemd for the properties of units."""

from astbtd.errors import AstbtdError
from astbtd.lib import subprocesses
from astbtd.model.crash import ExtractionOutcome
from astbtd.readiness.facts import Unit
from astbtd.readiness.gather.timeout import SECONDS

_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "UnitFileState", "ExecStart", "User", "WorkingDirectory"),
    *("LimitCORE", "LimitCORESoft", "PrivateTmp", "ProtectHome", "InaccessiblePaths", "TemporaryFileSystem"),
)


def unit(name: str) -> Unit:
    """The unit of that name, whether or not there is one. Raises AstbtdError where systemd does not answer."""
    argv = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name]
    finished, text = subprocesses.output(argv, timeout=SECONDS / 2)
    if finished.ended is not ExtractionOutcome.OK:
        reason = text.strip().splitlines()[-1:] or [f"no answer ({finished.ended})"]
        raise AstbtdError(f"systemctl: {reason[0]}")
    return Unit(name, dict(line.split("=", 1) for line in text.splitlines() if "=" in line))


def first_loaded(*names: str) -> Unit | None:
    """The first of these units that is there; None too where systemd does not answer."""
    try:
        return next((found for found in map(unit, names) if found["LoadState"] == "loaded"), None)
    except AstbtdError:
        return None
