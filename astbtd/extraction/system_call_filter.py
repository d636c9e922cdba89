"""Refuse system calls to the calling thread, and to every program that it starts, with libseccomp.

The distribution's binding is python3-seccomp; PyPI has pyseccomp with the same interface, for virtual environments
without access to the distribution's packages.
"""

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

try:
    import seccomp
except ImportError:  # a virtual environment without the distribution's packages
    import pyseccomp as seccomp

_DENIED_CALLS = (
    # reaches other processes, or outlives the process
    "socket",
    "shmget",
    "semget",
    "msgget",
    "mq_open",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "add_key",
    "request_key",
    "keyctl",
    # takes memory or disk space that no limit of the process counts
    "memfd_create",  # its memory is not part of the address space, see RLIMIT_AS
    "memfd_secret",
    "fallocate",  # allocates disk space beyond RLIMIT_FSIZE
    # parts of the kernel that a debugger does not need
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",  # performs the work of other calls without passing the filter
)

_CREATING_CALLS = (
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "truncate",
    "openat2",  # its flags are in memory, where a filter cannot read them; the C library does not call it
    "open_by_handle_at",
)
_TRUNCATING_CALLS = ("truncate", "openat2", "open_by_handle_at")
_OPENING_CALLS = {"open": 1, "openat": 2}
"""System calls that open a file, with the index of the argument that holds the flags."""


@dataclass(frozen=True)
class _Flags:
    """Flags of a call that opens a file: those in `mask` have this value."""

    mask: int
    value: int


_WRITING_FLAGS = tuple(_Flags(flag, flag) for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC))
# The access mode O_ACCMODE, 3, asks for a descriptor that can neither be read nor written: open(2).
_ONLY_TRUNCATING_FLAGS = tuple(
    _Flags(os.O_ACCMODE | os.O_TRUNC, mode | os.O_TRUNC) for mode in (os.O_RDONLY, os.O_ACCMODE)
)


class Denied(Enum):
    """What a filter refuses of access to files: a restriction of files (Landlock) may do the rest."""

    NOTHING = "nothing"
    TRUNCATING = "truncating a file without opening it for writing"
    WRITING = "opening a file for writing, and creating, renaming, linking and removing one"

    @property
    def calls(self) -> tuple[str, ...]:
        """The names of the calls that are refused with any arguments."""
        return {Denied.NOTHING: (), Denied.TRUNCATING: _TRUNCATING_CALLS, Denied.WRITING: _CREATING_CALLS}[self]

    @property
    def opening_flags(self) -> tuple[_Flags, ...]:
        """The flags with which no file can be opened."""
        return {Denied.NOTHING: (), Denied.TRUNCATING: _ONLY_TRUNCATING_FLAGS, Denied.WRITING: _WRITING_FLAGS}[self]


def load_filter(denied: Denied) -> None:
    """Restrict the calling thread. A denied call fails with EPERM; one of another machine's ABI kills the process.

    Files that are open already can be written. Raise OSError if the kernel refuses the filter.
    """
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    with suppress(RuntimeError, OSError, ValueError):  # without it, the thread alone is killed, which is the default
        rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    refuse = seccomp.ERRNO(errno.EPERM)
    for call in (*_DENIED_CALLS, *denied.calls):
        if _is_known(call):
            rules.add_rule(refuse, call)
    for call, argument in _OPENING_CALLS.items():
        for flags in denied.opening_flags:
            rules.add_rule(refuse, call, seccomp.Arg(argument, seccomp.MASKED_EQ, flags.mask, flags.value))
    try:
        rules.load()
    except RuntimeError as error:  # the binding of old versions of libseccomp
        raise OSError(errno.ENOSYS, f"cannot load a system call filter: {error}") from error


def _is_known(call: str) -> bool:
    """Return whether this version of libseccomp has the number of a system call that is newer than others."""
    try:
        return bool(seccomp.resolve_syscall(seccomp.Arch.NATIVE, call) != -1)
    except ValueError:
        return False
