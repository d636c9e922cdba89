"""Restrict a thread, and every program that it starts, to what a debugger needs, using Landlock and seccomp.

Landlock (Linux 5.13) denies writing to any file that is not open already. seccomp denies the system calls with which a
process can reach others or leave something behind; without Landlock, also those that open a file for writing, and
before Linux 6.2, where Landlock cannot deny it, those that truncate a file without opening it for writing. Both
apply to a thread and what it starts, so that no code of ours runs between fork and exec. If one of them is missing, the
rest of the sandbox applies, and `missing_restrictions` describes what is missing.

Sources: include/uapi/linux/{landlock,prctl}.h for the numbers.
"""

import ctypes
import os
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

from astbtd.extraction.system_call_filter import Denied, load_filter
from astbtd.lib.system_calls import system_call
from astbtd.lib.threads import lasting_thread, run_in_thread

Result = TypeVar("Result")

_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38

# System calls, flags and rights of Landlock.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
_WRITE_FILE = 1 << 1
_WRITE_ACCESS = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # and removing and creating files of all types
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FIRST_WITH_TRUNCATION = 3
_NETWORK_ACCESS = 0b11  # bind and connect TCP sockets
_SCOPES = 0b11  # no abstract sockets of, and no signals to, processes outside
_RIGHTS_BY_VERSION = {
    1: (_WRITE_ACCESS, 0, 0),
    2: (_REFER, 0, 0),
    _FIRST_WITH_TRUNCATION: (_TRUNCATE, 0, 0),
    4: (0, _NETWORK_ACCESS, 0),
    6: (0, 0, _SCOPES),
}
"""The rights that can be denied since a version of Landlock: file system, network, scopes."""
_RULESET_ATTRIBUTE_SIZES = {1: 8, 4: 16, 6: 24}
"""The size of struct landlock_ruleset_attr in bytes since a version of Landlock."""

_libc = ctypes.CDLL(None, use_errno=True)

NO_LANDLOCK = (
    "Landlock is not available, so gdb was kept from writing files by the system call filter only"
    " (Linux 5.13 and later have Landlock, unless it is disabled)"
)
NO_FILTER = (
    "system calls cannot be filtered (seccomp is not available), so gdb could allocate memory beyond its limit"
    ", create sockets and, before Linux 6.2, truncate files that anybody can write to"
)
NO_FILE_PROTECTION = (
    "neither Landlock nor seccomp is available, so gdb could write to directories that anybody can write to,"
    " and allocate memory beyond its limit"
)


def run_sandboxed(function: Callable[[], Result]) -> AbstractContextManager[Result]:
    """Run `function` in a restricted thread, and yield what it returned or raise what it raised.

    The thread ends when the block ends: a program that was started with a parent-death signal dies with the thread
    that started it.
    """

    def run() -> Result:
        _restrict_thread()
        return function()

    return lasting_thread("sandboxed", run)


@cache
def missing_restrictions() -> tuple[str, ...]:
    """Return a sentence for people about what the sandbox lacks here; empty if it lacks nothing.

    This is found out by restricting a thread that does nothing else.
    """
    has_landlock, has_filter = run_in_thread("restricted", _restrict_thread)
    if not has_landlock and not has_filter:
        return (NO_FILE_PROTECTION,)
    if not has_landlock:
        return (NO_LANDLOCK,)
    return () if has_filter else (NO_FILTER,)


def set_child_subreaper(enabled: bool) -> None:
    """Set whether descendants that lose their parent become our children (PR_SET_CHILD_SUBREAPER)."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0)


def landlock_version() -> int:
    """Return the version of the kernel's Landlock; 0 if there is none or it is not permitted."""
    try:
        return system_call(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def _restrict_thread() -> tuple[bool, bool]:
    """Restrict the calling thread; return whether Landlock applies, and whether the system call filter does."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = landlock_version()
    if version:
        _restrict_files(version)
    try:
        load_filter(_denied_by_filter(version))
    except OSError:
        return bool(version), False
    return bool(version), True


def _denied_by_filter(version: int) -> Denied:
    """Return what this version of Landlock, 0 if there is none, leaves to the system call filter."""
    if not version:
        return Denied.WRITING
    return Denied.TRUNCATING if version < _FIRST_WITH_TRUNCATION else Denied.NOTHING


def _restrict_files(version: int) -> None:
    available = [rights for since, rights in _RIGHTS_BY_VERSION.items() if since <= version]
    denied = [sum(column) for column in zip(*available, strict=True)]  # the rights are distinct bits
    size = max(size for since, size in _RULESET_ATTRIBUTE_SIZES.items() if since <= version)
    ruleset = system_call(_CREATE_RULESET, struct.pack("QQQ", *denied), size, 0)
    try:
        _allow(ruleset, os.devnull, _WRITE_FILE)
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow these rights below `path`."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        system_call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)
