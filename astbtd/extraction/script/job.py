"""The parameters of the script, which come in an environment variable, and writing to the output files."""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import suppress

import gdb

JOB = json.loads(os.environ["ASTBTD_JOB"])
"""Parameters by name:

request_fd: the socket for requests of objects, from which the core comes first
rest_fd: the file with the other parameters, which is complete when the core comes
frame_limit: the maximum number of frames per thread, 0 for no limit
crash_thread_only: whether only the crashed thread is wanted
deep_frames: a thread with more frames than this is a runaway recursion
innermost_frames: the number of frames shown of such a thread
output_bytes: the maximum size of all output files together
sections: descriptors of the output files by name
table_seconds: the maximum CPU time for one table of info.txt or locks.txt

After `receive_core`, also:

core: the path to open it by
crashed_at: seconds since 1970
executable: the path to open it by, may be None
outdated: paths of mapped files that are another build now, whose names would be wrong
sysroot: the directory below which gdb looks for the files that the process had mapped
object_directory: the directory in which requested objects are linked, None if gdb reads all objects
"""


DISK_FULL_STATUS = 28
"""The exit status of gdb if the disk is full: ENOSPC. Numbers below 64 have no other meaning for gdb than failure."""


def receive_core() -> None:
    """Wait for the core and the other parameters, which are determined while gdb starts."""
    with socket.socket(fileno=os.dup(JOB["request_fd"])) as requests:
        _, (core,), _, _ = socket.recv_fds(requests, 1, 1)
    JOB["core"] = f"/proc/self/fd/{core}"  # no permissions of directories are needed
    JOB.update(json.loads(os.pread(JOB["rest_fd"], os.fstat(JOB["rest_fd"]).st_size, 0)))


def report_backtrace() -> None:
    """Say that backtrace.txt is complete: it is read while the rest is written."""
    with suppress(OSError), socket.socket(fileno=os.dup(JOB["request_fd"])) as requests:
        requests.send(b"written", socket.MSG_NOSIGNAL)


def run(command: str) -> str:
    """Return the output of a gdb command, or why it failed; objects are named as the process named them."""
    try:
        return without_directories(execute(command))
    except gdb.error as error:
        return f"{error}\n"
    except (MemoryError, RuntimeError) as error:
        return f"{command}: {error}\n"


def without_directories(text: str) -> str:
    """Return gdb's output with objects named as the process named them."""
    text = text.replace(JOB["object_directory"] or "", "")
    return text if JOB["sysroot"].startswith("/") else text.replace(JOB["sysroot"], "")


def execute(command: str) -> str:
    """Return the output of a gdb command. Raise gdb.error.

    File names and command lines in the output may be invalid UTF-8, which gdb reports after it ran the command.
    """
    try:
        return gdb.execute(command, to_string=True) or ""
    except UnicodeDecodeError as error:
        return f"{command}: the output is not valid text: {error}\n"


def write(section: str, text: str) -> None:
    """Append text to a section. A section that has reached the limit on file sizes gets no more text.

    If the disk is full, end gdb at once: the extraction is repeated when there is room.
    """
    descriptor = JOB["sections"].get(section)
    rest = text.encode("utf-8", "surrogateescape")
    while rest and descriptor is not None:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                os._exit(DISK_FULL_STATUS)
            if error.errno != errno.EFBIG:
                raise
            JOB["sections"][section] = None
            return


def written_bytes() -> int:
    """Return the total size of all sections."""
    return sum(os.fstat(descriptor).st_size for descriptor in JOB["sections"].values() if descriptor is not None)


def rewrite(section: str, text: str) -> None:
    """Replace the content of a section."""
    os.ftruncate(JOB["sections"][section], 0)
    os.lseek(JOB["sections"][section], 0, os.SEEK_SET)
    write(section, text)
