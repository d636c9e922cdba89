"""Tells what kind of file system a directory is on, and whether this kernel sees all that happens there.

Where it does not, inotify misses changes and a lease does not tell of other machines' writers.
"""

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")

_CHANGED_BY_OTHERS = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "prl_fs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    )
)
"""Other machines, the host of a virtual machine or a program behind FUSE change these without this kernel's knowing.

inotify(7): "it does not catch remote events that occur on network filesystems". `fuseblk` is not one of them: its block
device belongs to this machine alone.
"""


def type_of(path: str) -> str:
    """The type of the file system that a real path is on, as proc_pid_mountinfo(5) names it: ext4, nfs4, fuse.sshfs.

    Touches nothing but /proc: the path need not exist, and a file server that is gone does not matter.
    """
    return type_in(os.fsdecode(_MOUNTS.read_bytes()), path)


def type_in(mountinfo: str, path: str) -> str:
    """The type as the text of a mountinfo tells it: of the longest mount point above `path`, the last mounted there.

    Empty where no mount point is above it.
    """
    mounts = [_mount(line) for line in mountinfo.splitlines()]
    above = [(len(point), number, kind) for number, (point, kind) in enumerate(mounts) if _is_above(point, path)]
    return max(above, default=(0, 0, ""))[2]


def inotify_sees(file_system: str) -> bool:
    """Whether all changes in a file system of this type go through this kernel."""
    return file_system.partition(".")[0] not in _CHANGED_BY_OTHERS


def _mount(line: str) -> tuple[str, str]:
    """The mount point and the type; before the hyphen stands any number of optional fields."""
    fields, _, rest = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4])
    return point, rest.split(" ")[0]


def _is_above(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
