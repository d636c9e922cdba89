"""Reads systemd's own configuration files: a section of assignments, the last one of a name counts."""

from collections.abc import Iterable

from astbtd.lib import quantities


def assignments(texts: Iterable[str], section: str) -> dict[str, str]:
    """The settings of a section in the texts of a configuration file and its drop-ins, in the order they apply."""
    found: dict[str, str] = {}
    for text in texts:
        here = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("["):
                here = line
            elif here == f"[{section}]" and "=" in line and line[0] not in "#;":
                name, _, value = line.partition("=")
                found[name.strip()] = value.strip()
    return found


def size(text: str | None, default: int | None) -> int | None:
    """Bytes from `64M`; None for `infinity`; the default where nothing, or nothing meaningful, is set."""
    if text == "infinity":
        return None
    try:
        return quantities.size(text or "")
    except ValueError:
        return default
