"""Reads what systemd is configured to do: the properties of units, and its own configuration files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import quantities, subprocesses
from astbtd.model.crash import ExtractionOutcome
from astbtd.readiness.facts import Unit
from astbtd.readiness.gather.timeout import SECONDS

_CONFIGURATION_DIRECTORIES = (  # lowest priority first
    "/usr/lib/systemd",
    "/usr/local/lib/systemd",
    "/run/systemd",
    "/etc/systemd",
)
_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "ExecStart", "User", "WorkingDirectory"),
    *("LimitCORE", "LimitCORESoft", "PrivateTmp", "ProtectHome", "InaccessiblePaths", "TemporaryFileSystem"),
)


def read_unit(name: str) -> Unit:
    """Return the unit with this name, whether or not it exists. Raise AstbtdError if systemd does not answer."""
    argv = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name]
    finished, text = subprocesses.output(argv, timeout=SECONDS / 2)
    if finished.ended is not ExtractionOutcome.OK:
        last_line = text.strip().splitlines()[-1:] or [f"no answer ({finished.ended})"]
        raise AstbtdError(f"systemctl: {last_line[0]}")
    return Unit(name, dict(line.split("=", 1) for line in text.splitlines() if "=" in line))


def find_loaded_unit(*names: str) -> Unit | None:
    """Return the first of these units that exists; None also if systemd does not answer."""
    try:
        for name in names:
            unit = read_unit(name)
            if unit["LoadState"] == "loaded":
                return unit
    except AstbtdError:
        pass
    return None


def read_configuration(file_name: str, section: str) -> dict[str, str]:
    """Return the settings in a section of a configuration file of systemd and its drop-ins. Raise OSError."""
    texts = (path.read_text(errors="replace") for path in _configuration_files(file_name))
    return parse_assignments(texts, section)


def parse_assignments(texts: Iterable[str], section: str) -> dict[str, str]:
    """Parse the assignments of a section, as systemd.syntax(7) describes; a later one overrides an earlier one."""
    found: dict[str, str] = {}
    for text in texts:
        current_section = ""
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                current_section = line
                continue
            is_assignment = "=" in line and not line.startswith(("#", ";"))
            if is_assignment and current_section == f"[{section}]":
                name, _, value = line.partition("=")
                found[name.strip()] = value.strip()
    return found


def parse_size(text: str | None, default: int | None) -> int | None:
    """Parse a size such as `64M`; return None for `infinity`, and the default if it is missing or invalid."""
    if text == "infinity":
        return None
    try:
        return quantities.parse_size(text or "")
    except ValueError:
        return default


def _configuration_files(file_name: str) -> Iterator[Path]:
    """Yield a configuration file and its drop-ins in the order in which they apply (systemd.syntax(7)).

    Of the main file only the one with the highest priority counts. Drop-ins are sorted by name; one with a higher
    priority replaces one with the same name.
    """
    for directory in reversed(_CONFIGURATION_DIRECTORIES):
        main_file = Path(directory, file_name)
        if main_file.exists():
            yield main_file
            break
    drop_ins: dict[str, Path] = {}
    for directory in _CONFIGURATION_DIRECTORIES:
        for path in Path(directory, f"{file_name}.d").glob("*.conf"):
            drop_ins[path.name] = path
    for name in sorted(drop_ins):
        yield drop_ins[name]
