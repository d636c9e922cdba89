"""What gdb is asked to do, and the descriptors that its sections go to; the job comes in the environment."""

from __future__ import annotations

import errno
import json
import os

import gdb

JOB = json.loads(os.environ["ASTBTD_JOB"])
"""core, executable: names to open them by; shown: the directory with links to the objects that gdb is shown, None if
it is shown all; asking: the descriptor to ask for such links by; frames: the most per thread, 0 for all; brief: whether
the crashed thread is enough; deep: more frames than this are a runaway recursion's; innermost: how many of such are
shown; output: bytes that all sections may have together; sections: descriptors by name; crashed_at: seconds since 1970;
part_seconds: the most CPU time that one part of info.txt or locks.txt may take.
"""


def run(command: str) -> str:
    """What a command of gdb's prints, or why it failed; with objects under the names that the process knew."""
    try:
        return said(command).replace(JOB["shown"] or "", "")
    except gdb.error as error:
        return f"{error}\n"
    except (MemoryError, RuntimeError) as error:
        return f"{command}: {error}\n"


def said(command: str) -> str:
    """What a command prints; names of files and words of a command line in it need not be text. Raises gdb.error."""
    try:
        return gdb.execute(command, to_string=True) or ""
    except UnicodeDecodeError as error:  # it was carried out all the same
        return f"{command}: what it prints is no text: {error}\n"


def write(section: str, text: str) -> None:
    """Adds text to a section; one that has reached the limit on files gets no more."""
    descriptor = JOB["sections"].get(section)
    rest = text.encode("utf-8", "surrogateescape")
    while rest and descriptor is not None:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            JOB["sections"][section] = None
            return


def written() -> int:
    """The bytes that are in all sections together."""
    return sum(os.fstat(descriptor).st_size for descriptor in JOB["sections"].values() if descriptor is not None)


def rewrite(section: str, text: str) -> None:
    """Puts a text in the place of a section's."""
    os.ftruncate(JOB["sections"][section], 0)
    os.lseek(JOB["sections"][section], 0, os.SEEK_SET)
    write(section, text)
