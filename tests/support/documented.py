"""The backtrace that the Asterisk documentation asks for, for comparison with ours."""

import re

from astbtd.backtrace import parser

COMMANDS = ("-ex", "bt", "-ex", "bt full", "-ex", "thread apply all bt", "--batch")
"""The gdb arguments of the documentation, and `bt`."""


def frames(printed: str) -> list[str]:
    """Return the lines after the header of the core: frames, arguments and locals.

    gdb prints the path of an object that was copied for it without the leading slash.
    """
    _, _, listed = printed.partition("[Current thread is")
    lines = [line for line in listed.splitlines()[1:] if line.strip() and not line.startswith("warning: ")]
    return [line.replace(" from tmp/", " from /tmp/") for line in lines]


def crashed_frames(text: str) -> list[tuple[str | None, int | None]]:
    """Return functions and lines of the thread that is printed first."""
    return [(frame.function, frame.line) for frame in parser.parse(text).threads[0].frames]


def traced(printed: str) -> dict[int, list[str]]:
    """Return the frames of each thread by its LWP, from the output of `thread apply all bt`."""
    found: dict[int, list[str]] = {}
    for thread in f"\n{printed}".split("\nThread ")[1:]:
        heading, *lines = thread.splitlines()
        if lwp := re.search(r"\(LWP (\d+)\)", heading):
            found[int(lwp[1])] = [line for line in lines if line.startswith("#")]
    return found
