"""A thread that has given up, for good, what no debugger needs; whatever program it starts has given it up as well.

Landlock (Linux 5.13) takes away to write any file that is not open already, seccomp the system calls by which a process
reaches others or leaves something behind. Both hold for a thread and what it starts, so that nothing of ours runs
between fork and exec. Where the kernel or the machine has none of it, the rest of the confinement stands.

Sources: include/uapi/linux/{landlock,seccomp,bpf_common,filter,audit,prctl}.h for the numbers.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from astbtd.lib.threads import in_own_thread

Result = TypeVar("Result")

_ADOPT, _NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 36, 38, 22, 2

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION, _BENEATH = 1, 1
_WRITE_FILE, _MAKE_DIRECTORY, _MAKE_LINK = 1 << 1, 1 << 7, 1 << 12
_WRITING = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # to remove and to make whatever there is
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_TCP = 0b11  # to bind, to connect
_SCOPES = 0b11  # abstract sockets and signals reach nobody outside
_ADDED = {1: (_WRITING, 0, 0), 2: (_REFER, 0, 0), 3: (_TRUNCATE, 0, 0), 4: (0, _TCP, 0), 6: (0, 0, _SCOPES)}
"""What can be given up since a version of Landlock: of files, of the network, of scopes."""

_TABLES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}
"""By machine: its number in audit.h, and which of the two tables of system calls it has."""
_REFUSED = {
    "socket": (41, 198),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "fallocate": (285, 47),  # which takes room on a disk beyond RLIMIT_FSIZE
    "ptrace": (101, 117),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),  # which does what other calls do, and asks no filter
}
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_OTHER_TABLE = 0x40000000  # x86-64's system calls for 32-bit pointers begin here

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def secluded(work: Callable[[], Result], writable: Sequence[str] = ()) -> Result:
    """What `work` returns or raises, done in such a thread; in the directories `writable` links can be made."""

    def run() -> Result:
        _give_up(writable)
        return work()

    return in_own_thread("secluded", run)


def adopt_orphans(wanted: bool) -> None:
    """Whether processes below us that lose their parent become our children (PR_SET_CHILD_SUBREAPER)."""
    _libc.prctl(_ADOPT, int(wanted), 0, 0, 0)


def landlock_version() -> int:
    """The version of the kernel's Landlock; 0 where there is none, or where it may not be asked."""
    return max(0, _syscall(_CREATE_RULESET, None, 0, _GET_VERSION))


def machine_is_known() -> bool:
    """Whether the system calls of this machine are known here by number."""
    return os.uname().machine in _TABLES


def _give_up(writable: Sequence[str]) -> None:
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if version := landlock_version():
        _give_up_files(version, writable)
    if machine_is_known():
        _give_up_system_calls(*_TABLES[os.uname().machine])


def _give_up_files(version: int, writable: Sequence[str]) -> None:
    given_up = map(sum, zip(*(rights for since, rights in _ADDED.items() if since <= version), strict=True))
    attributes = struct.pack("QQQ", *given_up)
    ruleset = _succeeded(_syscall(_CREATE_RULESET, attributes, 8 if version < 4 else 16 if version < 6 else 24, 0))
    try:
        _allow(ruleset, os.devnull, _WRITE_FILE)
        for directory in writable:
            _allow(ruleset, directory, _MAKE_DIRECTORY | _MAKE_LINK)
        _succeeded(_syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _succeeded(_syscall(_ADD_RULE, ruleset, _BENEATH, struct.pack("=Qi", rights, opened), 0))
    finally:
        os.close(opened)


def _give_up_system_calls(machine: int, table: int) -> None:
    program = _filter(machine, [numbers[table] for numbers in _REFUSED.values()])
    instructions = ctypes.create_string_buffer(program, len(program))
    length = len(program) // struct.calcsize("HBBI")
    with suppress(OSError):  # a kernel without seccomp
        _succeeded(_libc.prctl(_SET_SECCOMP, _FILTER, struct.pack("HP", length, ctypes.addressof(instructions)), 0, 0))


def _filter(machine: int, refused: Sequence[int]) -> bytes:
    """A program for the kernel's BPF machine: another machine's system calls are fatal, those refused fail."""
    last = len(refused)
    return b"".join(
        (
            _instruction(_LOAD, _MACHINE_AT),
            _instruction(_JUMP_IF_EQUAL, machine, otherwise=last + 4),
            _instruction(_LOAD, _NUMBER_AT),
            _instruction(_JUMP_IF_AT_LEAST, _OTHER_TABLE, then=last + 2),
            *(_instruction(_JUMP_IF_EQUAL, number, then=last - index) for index, number in enumerate(refused)),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _FAIL | errno.EPERM),
            _instruction(_RETURN, _KILL),
        )
    )


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    given = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return int(_libc.syscall(ctypes.c_long(number), *given))


def _succeeded(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
