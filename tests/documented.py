"""The backtrace that the Asterisk documentation asks for, to compare ours with."""

COMMANDS = ("-ex", "bt", "-ex", "bt full", "-ex", "thread apply all bt", "--batch")
"""gdb's arguments: those of the documentation, and `bt`."""


def frames(printed: str) -> list[str]:
    """The lines that are frames, arguments or locals, which come after the header of the core.

    gdb shows an object that was copied for it by its path without the first slash.
    """
    _, _, listed = printed.partition("[Current thread is")
    lines = [line for line in listed.splitlines()[1:] if line.strip() and not line.startswith("warning: ")]
    return [line.replace(" from tmp/", " from /tmp/") for line in lines]
