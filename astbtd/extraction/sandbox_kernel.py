"""Restrict a thread, and every program that it starts, to what a debugger needs, using Landlock and seccomp.

Landlock (Linux 5.13) denies writing to any file that is not open already. seccomp denies the system calls with which a
process can reach others or leave something behind. Both apply to a thread and what it starts, so that no code of ours
runs between fork and exec. Where the kernel or the machine lacks them, the rest of the sandbox applies.

Sources: include/uapi/linux/{landlock,seccomp,bpf_common,filter,audit,prctl}.h for the numbers.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from astbtd.lib.threads import run_in_thread

Result = TypeVar("Result")

_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 36, 38, 22, 2

# System calls, flags and rights of Landlock.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
_WRITE_FILE, _MAKE_DIR, _MAKE_SYM = 1 << 1, 1 << 7, 1 << 12
_WRITE_ACCESS = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # and removing and creating files of all types
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_NETWORK_ACCESS = 0b11  # bind and connect TCP sockets
_SCOPES = 0b11  # no abstract sockets of, and no signals to, processes outside
_RIGHTS_BY_VERSION = {
    1: (_WRITE_ACCESS, 0, 0),
    2: (_REFER, 0, 0),
    3: (_TRUNCATE, 0, 0),
    4: (0, _NETWORK_ACCESS, 0),
    6: (0, 0, _SCOPES),
}
"""The rights that can be denied since a version of Landlock: file system, network, scopes."""
_RULESET_ATTRIBUTE_SIZES = {1: 8, 4: 16, 6: 24}
"""The size of struct landlock_ruleset_attr in bytes since a version of Landlock."""

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}
"""By machine: its AUDIT_ARCH, and the index of its system call numbers in `_DENIED_CALLS`."""
_DENIED_CALLS = {
    "socket": (41, 198),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "fallocate": (285, 47),  # allocates disk space beyond RLIMIT_FSIZE
    "ptrace": (101, 117),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),  # performs the work of other calls without passing the filter
}
# Instructions of the kernel's BPF machine, offsets in struct seccomp_data, and return values.
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_OFFSET, _MACHINE_OFFSET = 0, 4
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_X32_BIT = 0x40000000  # the x86-64 system calls of the x32 ABI start here

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def run_sandboxed(function: Callable[[], Result], writable: Sequence[str] = ()) -> Result:
    """Run `function` in a restricted thread, and return or raise what it does.

    Directories and symbolic links can be created in the directories `writable`, nothing else can be written.
    """

    def run() -> Result:
        _restrict_thread(writable)
        return function()

    return run_in_thread("sandboxed", run)


def set_child_subreaper(enabled: bool) -> None:
    """Set whether descendants that lose their parent become our children (PR_SET_CHILD_SUBREAPER)."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0)


def landlock_version() -> int:
    """Return the version of the kernel's Landlock; 0 if there is none or it is not permitted."""
    return max(0, _syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION))


def can_filter_system_calls() -> bool:
    """Return whether the system call numbers of this machine are known."""
    return os.uname().machine in _MACHINES


def _restrict_thread(writable: Sequence[str]) -> None:
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if version := landlock_version():
        _restrict_files(version, writable)
    if can_filter_system_calls():
        _restrict_system_calls(*_MACHINES[os.uname().machine])


def _restrict_files(version: int, writable: Sequence[str]) -> None:
    available = [rights for since, rights in _RIGHTS_BY_VERSION.items() if since <= version]
    denied = [sum(column) for column in zip(*available, strict=True)]  # the rights are distinct bits
    size = max(size for since, size in _RULESET_ATTRIBUTE_SIZES.items() if since <= version)
    ruleset = _check(_syscall(_CREATE_RULESET, struct.pack("QQQ", *denied), size, 0))
    try:
        _allow(ruleset, os.devnull, _WRITE_FILE)
        for directory in writable:
            _allow(ruleset, directory, _MAKE_DIR | _MAKE_SYM)
        _check(_syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow these rights below `path`."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _check(_syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0))
    finally:
        os.close(descriptor)


def _restrict_system_calls(machine: int, column: int) -> None:
    program = _build_filter(machine, [numbers[column] for numbers in _DENIED_CALLS.values()])
    instructions = ctypes.create_string_buffer(program, len(program))
    length = len(program) // struct.calcsize("HBBI")
    sock_fprog = struct.pack("HP", length, ctypes.addressof(instructions))
    with suppress(OSError):  # a kernel without seccomp
        _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, sock_fprog, 0, 0))


def _build_filter(machine: int, denied: Sequence[int]) -> bytes:
    """Return a BPF program: denied system calls fail, system calls of another machine's ABI kill the process.

    Jumps are relative to the following instruction: `count - index` leads from the test of a denied call to the
    instruction that lets it fail.
    """
    count = len(denied)
    tests = (_instruction(_JUMP_IF_EQUAL, number, then=count - index) for index, number in enumerate(denied))
    return b"".join(
        (
            _instruction(_LOAD, _MACHINE_OFFSET),
            _instruction(_JUMP_IF_EQUAL, machine, otherwise=count + 4),  # to kill
            _instruction(_LOAD, _NUMBER_OFFSET),
            _instruction(_JUMP_IF_AT_LEAST, _X32_BIT, then=count + 2),  # to kill
            *tests,
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _FAIL | errno.EPERM),
            _instruction(_RETURN, _KILL),
        )
    )


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """Return struct sock_filter."""
    return struct.pack("HBBI", code, then, otherwise, value)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    converted = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return int(_libc.syscall(ctypes.c_long(number), *converted))


def _check(result: int) -> int:
    """Return the result of a system call. Raise OSError if it failed."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
