"""A real crash whose process had all texts of the table of redaction cases in its variables."""

from pathlib import Path

from astbtd.model.crash import Crash
from tests.support.attackers import crash_as_asterisk
from tests.support.harness import RunningDaemon
from tests.support.redaction_cases import KEPT, REDACTED
from tests.support.secretive_program import build_secretive_program, is_value

HARMLESS = [text for text in KEPT if is_value(text)]
_OF_OTHER_TYPES = ("password = {112 'p'", 'buf = "Secret: hunt"')  # texts that gdb does not print for strings
SECRET = [case for case in REDACTED if not case[0].startswith(_OF_OTHER_TYPES)]
_DISTINCT = 6  # characters: shorter parts of a secret are in other words too


def collect_crash_with_secrets(running: RunningDaemon, directory: Path, spool: Path) -> Crash:
    """Build the program in a new directory, start the daemon, and let the program crash in `spool`."""
    directory.mkdir()
    program = directory / "asterisk"
    build_secretive_program([*(text for text, _ in SECRET), *HARMLESS], program)
    running.start()
    crash_as_asterisk(program, spool)
    (recorded,) = running.wait_for_crashes(1)
    return recorded


def is_distinct(secret: str) -> bool:
    """Return whether no text has this also where it is no secret: as a name, a number or a part of a word."""
    of_others = [text for text, private in SECRET if not any(secret in part for part in private)]
    return len(secret) >= _DISTINCT and not any(secret in text for text in (*of_others, *HARMLESS))


def distinct_secrets() -> set[str]:
    """Return the secrets of the table that can be searched for in any text."""
    return {part for _, private in SECRET for part in private if is_distinct(part)}
