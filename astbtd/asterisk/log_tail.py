"""Reads the end of Asterisk's own log. This file runs as a program of its own, with the rights of Asterisk's user.

logger.conf, and the log that it names, belong to that user: with more rights, a link to a file of root would be read.
So this needs nothing but Python's standard library, opens only regular files with one name, and follows no link.

    python3 -I -S -c SOURCE paths CONFIGURATION LOG_DIRECTORY    prints the paths of the logs, the most detailed first
    python3 -I -S -c SOURCE tail PATH...                         prints the path of the first of these logs that has
                                                                 any content, a newline, and the end of that log
"""

import os
import re
import stat
import sys

MAX_BYTES = 1 << 18
_MAX_CONFIGURATION = 1 << 16
_DEFAULT_LOGS = ("full", "messages.log", "messages")
_NOT_FILES = re.compile(r"console$|syslog\.")
_FORMATTER = re.compile(r"^\s*\[\w+\]")


def log_paths(configuration: str, log_directory: str) -> list[str]:
    """Return the paths of the logs in the text of a logger.conf, those with most levels first, then the usual names."""
    levels: dict[str, int] = {}
    section = ""
    for line in configuration.splitlines():
        text = line.split(";")[0].strip()
        if text.startswith("["):
            section = text[1:].partition("]")[0]
        elif section == "logfiles" and "=" in text:
            name, _, wanted = text.partition("=")
            name = name.strip()
            if name and not _NOT_FILES.match(name):
                wanted = _FORMATTER.sub("", wanted.lstrip(">"))
                levels[name] = len(wanted.split(","))
    ordered = sorted(levels, key=levels.__getitem__, reverse=True)
    names = dict.fromkeys((*ordered, *_DEFAULT_LOGS))
    return [os.path.normpath(os.path.join(log_directory, name)) for name in names if name.isprintable()]


def read_end(path: str, limit: int) -> bytes:
    """Return the last `limit` bytes of a file. Raise OSError, also if it is not a regular file with one name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError("not a regular file with one name")
        return os.pread(descriptor, limit, max(0, status.st_size - limit))
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Print what the arguments ask for. Return 1 if no log can be read."""
    what, *rest = arguments
    return print_paths(*rest) if what == "paths" else print_end(rest)


def print_paths(path: str, log_directory: str) -> int:
    """Print the paths of the logs, one a line; of the usual ones if the configuration cannot be read."""
    try:
        configuration = read_end(path, _MAX_CONFIGURATION).decode(errors="replace")
    except OSError:
        configuration = ""
    sys.stdout.write("".join(f"{each}\n" for each in log_paths(configuration, log_directory)))
    return 0


def print_end(paths: list[str]) -> int:
    """Print the path and the end of the first log that has any content. Return 1 if there is none."""
    for path in paths:
        try:
            end = read_end(path, MAX_BYTES)
        except OSError:
            continue
        if end:
            sys.stdout.buffer.write(os.fsencode(path) + b"\n" + end)
            return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
