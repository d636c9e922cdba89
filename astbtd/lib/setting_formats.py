"""The formats of values in the configuration file: what people write, and what is accepted.

Each is a type for a field of the settings; the decoder parses the value with it.
"""

import os
import re
from typing import Annotated

from astbtd.lib import quantities
from astbtd.lib.serialization import HumanFormat

_MAX_LOG_LINES = 2000


def _at_least(lowest: float, parse: HumanFormat) -> HumanFormat:
    def parse_checked(value: object) -> object:
        parsed = parse.parse(value)
        if not isinstance(parsed, int | float) or parsed < lowest:
            raise ValueError(value)
        return parsed

    return HumanFormat(parse_checked, f"{parse.allowed}, at least {lowest:g}")


def _parse_path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError(value)
    return os.path.normpath(value)


def _parse_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", value):
        raise ValueError(value)
    return value


def _parse_program(value: object) -> str:
    return _parse_path(value) if isinstance(value, str) and "/" in value else _parse_name(value)


def _parse_user(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    return _parse_name(value)


def _parse_address(value: object) -> str:
    """Return the address of a server: in the environment of debuginfod-find, a blank separates it from the next."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]+", value):
        raise ValueError(value)
    return value


def _parse_command(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise ValueError(value)
    return value


def _parse_integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(value)
    return value


def _parse_log_lines(value: object) -> int:
    lines = _parse_integer(value)
    if lines > _MAX_LOG_LINES:
        raise ValueError(value)
    return lines


_DURATION = HumanFormat(quantities.parse_duration, quantities.DURATION_ALLOWED)
_SIZE = HumanFormat(quantities.parse_size, quantities.SIZE_ALLOWED)

PathText = Annotated[str, HumanFormat(_parse_path, "an absolute path")]
Name = Annotated[str, HumanFormat(_parse_name, "a name of letters, digits, '.', '_', '+' and '-'")]
User = Annotated[str, HumanFormat(_parse_user, "the name or the number of a user")]
Program = Annotated[str, HumanFormat(_parse_program, "the name of a program or its absolute path")]
Seconds = Annotated[float, _at_least(1, _DURATION)]
Bytes = Annotated[int, _SIZE]
Share = Annotated[float, HumanFormat(quantities.parse_percent, quantities.PERCENT_ALLOWED)]
AddressSpace = Annotated[int, _at_least(64 << 20, _SIZE)]
OutputBytes = Annotated[int, _at_least(1 << 16, _SIZE)]
Count = Annotated[int, _at_least(0, HumanFormat(_parse_integer, "a whole number"))]
Crashes = Annotated[int, _at_least(2, HumanFormat(_parse_integer, "a whole number"))]
Frames = Annotated[int, _at_least(10, HumanFormat(_parse_integer, "a whole number"))]
AtLeastOne = Annotated[int, _at_least(1, HumanFormat(_parse_integer, "a whole number"))]
LogLines = Annotated[int, _at_least(0, HumanFormat(_parse_log_lines, f"a whole number, at most {_MAX_LOG_LINES}"))]
Address = Annotated[str, HumanFormat(_parse_address, "an address that begins with http:// or https://")]
Command = Annotated[str, HumanFormat(_parse_command, "a command of Asterisk's console")]
OptionalPath = Annotated[str | None, HumanFormat(_parse_path, "an absolute path")]
