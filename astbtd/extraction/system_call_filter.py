"""Refuse system calls to the calling thread, and to every program that it starts, with libseccomp.

The distribution's binding is python3-seccomp; PyPI has pyseccomp with the same interface, for virtual environments
without access to the distribution's packages.
"""

import errno
import os
from contextlib import suppress

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
_OPENING_CALLS = {"open": 1, "openat": 2}
"""System calls that open a file, with the index of the argument that holds the flags."""

_WRITING_FLAGS = (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC)


def load_filter(*, deny_writing: bool) -> None:
    """Restrict the calling thread. A denied call fails with EPERM; one of another machine's ABI kills the process.

    With `deny_writing`, also refuse to open a file for writing, and to create, rename, link or remove one. Files that
    are open already can be written. Raise OSError if the kernel refuses the filter.
    """
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    with suppress(RuntimeError, OSError, ValueError):  # without it, the thread alone is killed, which is the default
        rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    refuse = seccomp.ERRNO(errno.EPERM)
    for call in (*_DENIED_CALLS, *(_CREATING_CALLS if deny_writing else ())):
        if _is_known(call):
            rules.add_rule(refuse, call)
    if deny_writing:
        for call, argument in _OPENING_CALLS.items():
            for flag in _WRITING_FLAGS:
                rules.add_rule(refuse, call, seccomp.Arg(argument, seccomp.MASKED_EQ, flag, flag))
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
