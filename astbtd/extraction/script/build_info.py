"""Asterisk's version, build and start time, and the C library's message if it aborted the process."""

from __future__ import annotations

from astbtd.extraction.script.core_values import evaluate, evaluate_text, returned_text
from astbtd.extraction.script.job import JOB
from astbtd.extraction.script.text_table import format_time
from astbtd.lib.escaping import printable_line


class BuildInfo:
    """What is known about the crashed Asterisk; unknown values are None."""

    def __init__(self) -> None:
        self.version = _static_text("asterisk_version", "ast_get_version")
        self.abi_options = _static_text("asterisk_build_opts", "ast_get_build_opts")
        self.all_options = _static_text("asterisk_build_opts_all", "ast_get_build_opts_all")
        self.started = evaluate("*(long *) &ast_startuptime")
        self.reloaded = evaluate("*(long *) &ast_lastreloadtime")
        self.abort_message = _abort_message()

    @property
    def options(self) -> str | None:
        """All build options, or only those that affect the ABI if the others are unknown."""
        return self.abi_options if self.all_options is None else self.all_options

    def text(self) -> str:
        """Return all that is known, one line each."""
        uptime = _format_duration(JOB["crashed_at"] - self.started) if self.started else None
        fields = {
            "Version": self.version,
            "Built by": _builder(),
            "Build options": _or_none(self.abi_options),
            "All build options": _or_none(self.all_options),
            "Started": format_time(self.started or 0, _microseconds("ast_startuptime")),
            "Last reload": format_time(self.reloaded or 0, _microseconds("ast_lastreloadtime")),
            "Uptime at the crash": uptime,
            "Abort message": self.abort_message,
        }
        lines = [f"{name}: {printable_line(value)}\n" for name, value in fields.items() if value]
        return "".join(lines) or "Neither version nor build options can be read from this core.\n"


def _microseconds(variable: str) -> int:
    """Return the second field of a struct timeval, which is a long as well."""
    return evaluate(f"*((long *) &{variable} + 1)") or 0


def _static_text(array: str, getter: str) -> str | None:
    """Return the string in an array, by its symbol, or else from the function that returns it."""
    by_symbol = evaluate_text(f"(char *) &{array}")
    return returned_text(getter) if by_symbol is None else by_symbol


def _or_none(options: str | None) -> str | None:
    """Return options as `core show settings` writes them."""
    return "(none)" if options == "" else options


def _abort_message() -> str | None:
    """Return the message of glibc when it aborted, which it keeps for debuggers, preceded by its size."""
    if not evaluate("*(unsigned long *) &__abort_msg"):
        return None
    message = evaluate_text("*(char **) &__abort_msg + 4")
    return message.strip() if message else None


def _builder() -> str | None:
    user, host, machine, system, date = (
        evaluate_text(f"*(char **) &ast_build_{name}") for name in ("user", "hostname", "machine", "os", "date")
    )
    return f"{user} @ {host} on a {machine} running {system} on {date}" if user else None


def _format_duration(seconds: float) -> str | None:
    """Format a duration as `1 days 2:03:04`; return None if it is negative, since the clock was set back."""
    if seconds < 0:
        return None
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    prefix = f"{days} days " if days else ""
    return f"{prefix}{hour}:{minute:02}:{second:02}"
