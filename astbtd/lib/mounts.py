"""Tells from /proc alone what kind of file system a directory is on, and whether others than this kernel serve it.

Where they do, inotify misses changes, a lease does not tell of other writers, and any system call may hang for good.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

MOUNTS = Path("/proc/self/mountinfo")
"""Readable for priority data (EPOLLPRI) whenever a file system was mounted or unmounted."""

_SERVED_BY_OTHERS = frozenset(
    (
        "9p",
        "afs",
        "autofs",
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
device belongs to this machine alone. Whoever touches `autofs` waits for what is mounted there.
"""

_MOST_LINKS = 40  # that one path may lead through: path_resolution(7)


@dataclass(frozen=True)
class Mount:
    """A line of proc_pid_mountinfo(5). `number` and `parent` are unique while mounted; `device` is major:minor."""

    number: int
    parent: int
    device: str
    root: str
    point: str
    kind: str


@dataclass(frozen=True)
class Mounts:
    """All mounts at one time; `polled` are directories that are served by others because somebody says so.

    Paths are real ones, and need not exist: nothing but /proc is touched, unless a method says so.
    """

    mounts: tuple[Mount, ...]
    polled: tuple[str, ...] = ()

    @classmethod
    def now(cls, polled: tuple[str, ...] = ()) -> "Mounts":
        """Those that this process sees."""
        return cls(parse(MOUNTS.read_bytes()), polled)

    @classmethod
    def of(cls, pid: int) -> "Mounts":
        """Those that another process sees. Raises OSError."""
        return cls(parse(Path(f"/proc/{pid}/mountinfo").read_bytes()))

    def way_to(self, path: str) -> tuple[Mount, ...]:
        """The mounts that a walk from the root to `path` enters, the last of them that which it is on."""
        numbers = {mount.number for mount in self.mounts if mount.number != mount.parent}
        above = [mount for mount in self.mounts if _is_in(path, mount.point)]
        following = [mount for mount in above if mount.parent not in numbers]
        way: list[Mount] = []
        while following:
            way.append(min(following, key=lambda mount: len(mount.point)))  # the longer ones are hidden below it
            following = [mount for mount in above if mount.parent == way[-1].number and mount not in way]
        return tuple(way)

    def type_of(self, path: str) -> str:
        """The type of the file system that `path` is on, as mountinfo names it: ext4, nfs4, fuse.sshfs; '' if none."""
        way = self.way_to(path)
        return way[-1].kind if way else ""

    def device_of(self, path: str) -> tuple[str, str]:
        """The device that `path` is on, as major:minor, and the path on that device, whatever it is mounted as."""
        way = self.way_to(path)
        if not way:
            return "", path
        return way[-1].device, os.path.normpath(os.path.join(way[-1].root, os.path.relpath(path, way[-1].point)))

    def served_by_others(self, path: str) -> Mount | None:
        """The mount on the way to `path` that may not answer and whose changes may go unseen; None if there is none."""
        way = self.way_to(path)
        if way and any(_is_in(path, directory) for directory in self.polled):
            return way[-1]
        entered = {mount.point: mount for mount in way}  # of several mounted in one place, the last
        return next((mount for mount in entered.values() if not inotify_sees(mount.kind)), None)

    def real(self, path: str) -> str:
        """`path` without symbolic links, as far as they can be followed without asking others; touches the disk.

        Only links of root's or of our own are followed: others may lead wherever their owner wants us to work.
        """
        done, left, links = "/", path.split("/"), 0
        while left:
            here = os.path.normpath(os.path.join(done, left.pop(0)))
            if self.served_by_others(here):
                return os.path.normpath(os.path.join(here, *left))
            target = _trusted_target(here)
            if target is None:
                done = here
                continue
            links += 1
            if links > _MOST_LINKS:
                return os.path.normpath(os.path.join(here, *left))
            left = [*target.split("/"), *left]
            done = "/" if target.startswith("/") else done
        return done

    def leads_through_a_link(self, path: str) -> bool:
        """Whether there is a link on the way to a path, as `real` gives them: one that was not to be followed."""
        for here in (*map(str, reversed(PurePath(path).parents)), path):
            if self.served_by_others(here):
                return False
            if os.path.islink(here):
                return True
        return False


def type_of(path: str) -> str:
    """The type of the file system that a real path is on now."""
    return Mounts.now().type_of(path)


def inotify_sees(file_system: str) -> bool:
    """Whether all changes in a file system of this type go through this kernel."""
    return file_system.partition(".")[0] not in _SERVED_BY_OTHERS


@lru_cache(maxsize=4)
def parse(mountinfo: bytes) -> tuple[Mount, ...]:
    """The mounts that the content of a mountinfo lists."""
    return tuple(_mount(line) for line in os.fsdecode(mountinfo).splitlines())


def _trusted_target(path: str) -> str | None:
    """What the link at `path` holds; None where there is none, or one that neither root nor we have made."""
    with suppress(OSError):
        link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(link).st_uid in (0, os.geteuid()):
                return os.readlink("", dir_fd=link)
        finally:
            os.close(link)
    return None


def _mount(line: str) -> Mount:
    """Before the hyphen stands any number of optional fields."""
    fields, _, rest = line.partition(" - ")
    number, parent, device, root, point, *_ = fields.split(" ")
    return Mount(int(number), int(parent), device, _plain(root), _plain(point), rest.split(" ")[0])


def _plain(escaped: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), escaped)


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
