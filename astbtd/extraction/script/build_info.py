"""Which Asterisk this was: version, build, when it started; and what libc said when it aborted."""

from __future__ import annotations

from astbtd.extraction.script.core_values import number, text
from astbtd.extraction.script.getter_values import text_returned_by
from astbtd.extraction.script.job import JOB
from astbtd.extraction.script.text_table import moment
from astbtd.lib.escaping import printable_line


class BuildInfo:
    """What the core tells about its Asterisk; None is not known."""

    def __init__(self) -> None:
        self.version = _static_text("asterisk_version", "ast_get_version")
        self.abi_options = _static_text("asterisk_build_opts", "ast_get_build_opts")
        self.all_options = _static_text("asterisk_build_opts_all", "ast_get_build_opts_all")
        self.started = number("*(long *) &ast_startuptime")
        self.reloaded = number("*(long *) &ast_lastreloadtime")
        self.abort_message = _abort_message()

    @property
    def options(self) -> str | None:
        """As many of the build options as are known."""
        return self.abi_options if self.all_options is None else self.all_options

    def lines(self) -> str:
        """All that is known, for people."""
        known = {
            "Version": self.version,
            "Built by": _build(),
            "Build options": _or_none(self.abi_options),
            "All build options": _or_none(self.all_options),
            "Started": moment(self.started or 0),
            "Last reload": moment(self.reloaded or 0),
            "Uptime at the crash": _duration(JOB["crashed_at"] - self.started) if self.started else None,
            "Abort message": self.abort_message,
        }
        lines = "".join(f"{name}: {printable_line(value)}\n" for name, value in known.items() if value)
        return lines or "Neither version nor build options can be read from this core.\n"


def _static_text(array: str, getter: str) -> str | None:
    """By its name where there are symbols, else through the function that returns it."""
    by_name = text(f"(char *) &{array}")
    return text_returned_by(getter) if by_name is None else by_name


def _or_none(options: str | None) -> str | None:
    """As `core show settings` writes options."""
    return "(none)" if options == "" else options


def _abort_message() -> str | None:
    """What libc said when it aborted: glibc keeps it for debuggers, behind its size."""
    if not number("*(unsigned long *) &__abort_msg"):
        return None
    message = text("*(char **) &__abort_msg + 4")
    return message.strip() if message else None


def _build() -> str | None:
    user, host, machine, system, date = (
        text(f"*(char **) &ast_build_{name}") for name in ("user", "hostname", "machine", "os", "date")
    )
    return f"{user} @ {host} on a {machine} running {system} on {date}" if user else None


def _duration(seconds: float) -> str | None:
    """As `core show uptime` counts, but shorter; None for a clock that was set back."""
    if seconds < 0:
        return None
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return (f"{days} days " if days else "") + f"{hour}:{minute:02}:{second:02}"
