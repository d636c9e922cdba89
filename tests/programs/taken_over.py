"""A compromised gdb: tries what it must not be able to do, prints what succeeded, and executes the real gdb."""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

PUBLIC = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/run/user", "/var/crash", "/var/mail", "..")
JOB = json.loads(os.environ["ASTBTD_JOB"])
SECTIONS: dict[str, int] = JOB["sections"]
LIBC = ctypes.CDLL(None, use_errno=True)
IPC_CREATE, KEEP_SIZE, ATTACH, NEW_USER_AND_MOUNTS = 0o1600, 1, 16, 0x10020000


def peek_core() -> str:
    """Wait for the core, and return a path to open it by; the real gdb will receive it as well."""
    with socket.socket(fileno=os.dup(JOB["request_fd"])) as requests:
        _, ((_, _, content),), _, _ = requests.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_PEEK)
    return f"/proc/self/fd/{int.from_bytes(content, sys.byteorder)}"


def succeeded(attempt: Callable[[], object]) -> bool:
    """Return whether an attempt succeeded. Functions of the C library return -1 on failure."""
    try:
        return attempt() != -1
    except (OSError, RuntimeError, ValueError):
        return False


def writing(given: dict[str, list[str]], core: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to create a file in a directory, or to change a file."""
    here = [directory for directory, _, _ in os.walk(".")]
    for directory in (*PUBLIC, *here, *given["directories"]):
        name = f"{directory}/of-gdb-{os.getpid()}"
        yield f"a file in {directory}", partial(os.open, name, os.O_CREAT | os.O_WRONLY)
        yield f"a directory in {directory}", partial(os.mkdir, f"{name}.d")
        yield f"a link in {directory}", partial(os.symlink, "/etc/passwd", f"{name}.link")
        yield f"a hard link in {directory}", partial(os.link, "/proc/self/exe", f"{name}.hard")
        yield f"a fifo in {directory}", partial(os.mkfifo, f"{name}.fifo")
        yield f"a socket in {directory}", partial(bind, f"{name}.socket")
    yield "the core", partial(os.open, core, os.O_RDWR)
    yield "the core's mode", partial(os.chmod, core, 0o660)
    for file in given["writable"]:
        yield f"what is in {file}", partial(os.open, file, os.O_WRONLY)
    for number, target in descriptors().items():
        asking = target.startswith("socket:")
        if not asking and int(number) not in (*SECTIONS.values(), 0, 1, 2):
            yield f"descriptor {number}, {target}", partial(os.write, int(number), b"x")


def reaching() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to affect other processes, and to survive the extraction."""
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        yield f"a socket of {family.name}", partial(socket.socket, family)
    yield "shared memory", partial(LIBC.shmget, 0, 1 << 20, IPC_CREATE)
    yield "a message queue", partial(LIBC.msgget, 0, IPC_CREATE)
    yield "a semaphore", partial(LIBC.semget, 0, 1, IPC_CREATE)
    yield "a named message queue", partial(LIBC.mq_open, b"/of-gdb", os.O_CREAT | os.O_RDWR, 0o600, None)
    for pid in processes():
        yield f"a signal to {pid}", partial(os.kill, pid, 0)
        yield f"to trace {pid}", partial(LIBC.ptrace, ATTACH, pid, None, None)
        for file in ("mem", "environ", "maps", "fd/0", "cwd", "root"):
            yield f"{file} of {pid}", partial(read_something, f"/proc/{pid}/{file}")
    yield "root", partial(os.setuid, 0)
    yield "more processes", partial(LIBC.prlimit, 0, 6, (ctypes.c_ulong * 2)(99, 99), None)


def filling() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to use more disk space than permitted."""
    section = SECTIONS["full.txt"]
    yield "room behind a section", partial(LIBC.fallocate, section, KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(1 << 30))
    yield "a section without end", partial(os.pwrite, section, b"x", 1 << 40)


def bind(path: str) -> None:
    """Create a socket."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def read_something(path: str) -> None:
    """Read a file or a link."""
    if os.path.islink(path):
        os.readlink(path)
    else:
        with open(path, "rb") as file:
            if not file.read(1):  # a file of a kernel thread is empty
                raise OSError(path)


def processes() -> list[int]:
    """Return the ids of all other processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def descriptors() -> dict[str, str]:
    """Return the open descriptors and the files that they refer to."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this directory
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


def readable(tops: list[str]) -> list[str]:
    """Return the readable files below these directories."""
    return [path for top in tops for path in sorted(walked(top)) if os.access(path, os.R_OK)]


def walked(top: str) -> Iterator[str]:
    """Yield all files below a directory whose names can be listed."""
    for directory, _, names in os.walk(top):
        yield directory
        yield from (os.path.join(directory, name) for name in names)


def main() -> None:
    """Print a report and execute gdb."""
    given = json.loads(Path(__file__).with_name("given.json").read_text())
    core = peek_core()
    attempts = [*writing(given, core), *reaching(), *filling()]
    report: dict[str, object] = {
        "open": descriptors(),
        "readable": readable(given["trees"]),
        "tried": len(attempts),
        "could": [what for what, attempt in attempts if succeeded(attempt)],
    }
    LIBC.unshare(NEW_USER_AND_MOUNTS)
    report["could in a name space"] = [what for what, attempt in writing(given, core) if succeeded(attempt)]
    sys.stdout.write(f"{json.dumps(report)}\n")
    sys.stdout.flush()
    os.execv(shutil.which("gdb") or "gdb", ["gdb", *sys.argv[1:]])  # noqa: S606 - what it is for


if __name__ == "__main__":
    main()
