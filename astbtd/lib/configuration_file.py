"""Read a configuration file: as root only one that nobody else can change, and no key twice."""

import os
import stat
from pathlib import Path

from astbtd.errors import BadConfiguration

_MAX_SIZE = 1 << 20  # bytes; a configuration is much smaller, and a log specified by mistake is not read


def read_trusted(path: Path) -> bytes:
    """Return the content of a file. Raise OSError, or BadConfiguration if it is too large or others can change it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BadConfiguration(str(path), ["not a regular file"])
        if os.geteuid() == 0:
            _refuse_untrusted(path, status)
        text = file.read(_MAX_SIZE + 1)
    if len(text) > _MAX_SIZE:
        raise BadConfiguration(str(path), ["larger than 1 MiB"])
    return text


def _refuse_untrusted(path: Path, status: os.stat_result) -> None:
    """As root, refuse a file that others can write, or replace because they can write a directory above it.

    A sticky directory protects its entries.
    """
    problems = [] if _only_root_writes(status) else ["writable by users other than root: chown root, chmod go-w"]
    for parent in path.resolve().parents:
        parent_status = parent.stat()
        is_sticky = parent_status.st_mode & stat.S_ISVTX
        if not _only_root_writes(parent_status) and not is_sticky:
            problems.append(f"its directory {parent} is writable by users other than root: chown root, chmod go-w")
    if problems:
        raise BadConfiguration(str(path), problems)


def _only_root_writes(status: os.stat_result) -> bool:
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def duplicate_keys(root: object) -> list[str]:
    """Return an error for each key that is given twice in one mapping: YAML would silently use the last one.

    `root` is what `yaml.compose` returns.
    """
    problems: list[str] = []
    remaining = [("", root)]
    visited: set[int] = set()  # aliases can make a document refer to itself
    while remaining:
        where, node = remaining.pop()
        children = getattr(node, "value", None)
        if id(node) in visited or not isinstance(children, list):
            continue
        visited.add(id(node))
        seen: dict[str, int] = {}
        for child in children:
            key, value = child if isinstance(child, tuple) else (None, child)
            path = f"{where}.{key.value}".lstrip(".") if key is not None else where
            remaining.append((path, value))
            if key is None or not isinstance(key.value, str):
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                problems.append(f"{path}: given twice, in lines {seen[key.value]} and {line}")
            seen[key.value] = line
    return problems
