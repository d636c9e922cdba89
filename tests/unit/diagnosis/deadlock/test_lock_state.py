"""The numbers of system calls and the layouts of locks are those that the headers of each machine define."""

import re
import subprocess

import pytest

from astbtd.diagnosis.deadlock import lock_state
from astbtd.diagnosis.deadlock.lock_state import MACHINES
from astbtd.model.deadlock_capture import OwnerState
from tests.support.compilers import compiler_for

UNAME_BY_GDB = {"i386:x86-64": "x86_64", "aarch64": "aarch64"}
CALLS = {
    OwnerState.IO: "read write pread64 pwrite64 readv writev preadv pwritev poll ppoll select pselect6 epoll_wait "
    "epoll_pwait epoll_pwait2 fsync fdatasync accept accept4 connect sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg",
    OwnerState.SLEEPING: "nanosleep clock_nanosleep",
    OwnerState.SIGNAL: "pause rt_sigsuspend rt_sigtimedwait",
    OwnerState.CHILD: "wait4 waitid",
}
"""The system calls in which a thread waits; a machine does not have all of them."""


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def numbers(machine: str) -> dict[str, int]:
    """The number of each system call in the headers of a machine."""
    command = [compiler_for(UNAME_BY_GDB[machine]), "-E", "-dM", "-include", "asm/unistd.h", "-xc", "/dev/null"]
    defined = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    macros: dict[str, str] = dict(re.findall(r"^#define (__NR\w+) (\S+)$", defined, re.MULTILINE))
    found = {}
    for name, macro in macros.items():
        value = macros.get(macro, macro)  # __NR3264_lseek
        if name.startswith("__NR_") and value.isdigit():
            found[name.removeprefix("__NR_")] = int(value)
    return found


def test_each_call_that_waits_is_known(machine: str, numbers: dict[str, int]) -> None:
    calls = MACHINES[machine]

    expected = {numbers[name]: state for state, names in CALLS.items() for name in names.split() if name in numbers}
    assert calls.states == expected


def test_the_calls_that_wait_for_a_lock_are_known(machine: str, numbers: dict[str, int]) -> None:
    calls = MACHINES[machine]

    assert (calls.futex, calls.restart) == (numbers["futex"], numbers["restart_syscall"])


LAYOUT = """
#include <pthread.h>
#include <stddef.h>
#define AT(type, member, offset) _Static_assert(offsetof(type, member) == offset, #member)
AT(pthread_mutex_t, __data.__owner, {mutex_owner});
AT(pthread_rwlock_t, __data.__readers, {readers});
AT(pthread_rwlock_t, __data.__wrphase_futex, {write_phase});
AT(pthread_rwlock_t, __data.__writers_futex, {writers});
AT(pthread_rwlock_t, __data.__cur_writer, {writer});
"""


def test_the_locks_have_the_layout_of_the_c_library(machine: str) -> None:
    offsets = {
        "mutex_owner": lock_state._MUTEX_OWNER,
        "readers": lock_state._RWLOCK_READERS,
        "write_phase": lock_state._RWLOCK_WRITE_PHASE_FUTEX,
        "writers": lock_state._RWLOCK_WRITERS_FUTEX,
        "writer": lock_state._RWLOCK_WRITER,
    }
    command = [compiler_for(UNAME_BY_GDB[machine]), "-fsyntax-only", "-xc", "-"]

    compiled = subprocess.run(command, input=LAYOUT.format(**offsets), text=True, capture_output=True, check=False)

    assert compiled.stderr == ""
