"""An Asterisk in a container: with mount and pid namespaces of its own, and one directory shared with the host."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def contained_asterisk(programs: Path, root: Path, shared: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an Asterisk in a container with its root at `root`. It works in `shared`, which the host sees too."""
    script = """
        mount -t tmpfs tmpfs "$1"; cd "$1"; mkdir usr proc shared opt old; ln -s usr/lib usr/lib64 usr/bin .
        mount --rbind /usr usr; mount -t proc proc proc; mount --bind "$3" shared; cp -r "$2" opt/pbx
        pivot_root . old; umount -l old; cd /shared; /opt/pbx/asterisk wait; exit
    """
    unshared = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    process = subprocess.Popen((*unshared, "sh", "-ec", script, "sh", root, programs, shared), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def crash_in_container(container: "subprocess.Popen[bytes]") -> None:
    """Crash the Asterisk in a container and wait until the container has ended.

    The signal goes to the child of its init, since the kernel writes no core of an init.
    """
    os.kill(_child(_child(container.pid)), signal.SIGSEGV)
    container.wait()


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
