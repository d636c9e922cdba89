"""An Asterisk in a container: a file system and a process tree of its own, and one directory that it shares with us."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def contained_asterisk(programs: Path, root: Path, shared: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An Asterisk in a container with a file system of its own, which works in a directory that it shares with us."""
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


def dies_in_its_container(container: "subprocess.Popen[bytes]") -> None:
    """Crashes the Asterisk in a container; its init, which no signal from outside would crash, ends after it."""
    os.kill(_child(_child(container.pid)), signal.SIGSEGV)
    container.wait()


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
