"""The file `schema` of a store: the newest schema of records that any version of astbtd may have written there.

It is a module of its own because an older version must be able to read it, whatever the rest of the store looks like:
after a downgrade, the daemon must not change records that it does not understand.
"""

from contextlib import suppress
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.record_summary import SCHEMA

_FILE = "schema"
_LONGEST = 20  # characters


def refuse_newer(root: Path) -> None:
    """Raise AstbtdError if a newer version of astbtd has used the store. Raise OSError if the file cannot be read."""
    found = _read(root)
    if found > SCHEMA:
        raise AstbtdError(
            f"the store {root} was written by a newer version of astbtd (schema {found}, this version has {SCHEMA})",
            "install that version again, or set `store` to another directory",
        )


def mark(root: Path, group: int) -> None:
    """Record that this version uses the store. On a full disk, this is left to a later start."""
    with suppress(OSError):
        if _read(root) != SCHEMA:
            files.replace(root / _FILE, f"{SCHEMA}\n".encode(), group=group)


def _read(root: Path) -> int:
    """Return the schema of a store, 0 if it is new or of a version without this file."""
    try:
        with (root / _FILE).open(encoding="ascii", errors="replace") as file:
            text = file.read(_LONGEST).strip()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return int(text) if text.isdecimal() else 0
