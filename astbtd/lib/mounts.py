"""The mount table: which file system a directory is on, and whether that is remote, using /proc alone.

A file system is called remote if something other than this kernel serves it: another machine, the host of a virtual
machine, or a FUSE program. On these, inotify misses changes, a lease does not detect other writers, and any system call
may hang forever.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

MOUNTS = Path("/proc/self/mountinfo")
"""Reports priority data (EPOLLPRI) whenever a file system was mounted or unmounted."""

_REMOTE_TYPES = frozenset(
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
"""Types of file systems that change without this kernel taking part.

inotify(7): "it does not catch remote events that occur on network filesystems". `fuseblk` is not in the list: its block
device belongs to this machine alone. Accessing `autofs` blocks until the file system behind it is mounted.
"""

_MAX_LINKS = 40  # symbolic links in one path, as in path_resolution(7)


@dataclass(frozen=True)
class Mount:
    """A line of proc_pid_mountinfo(5). Mount ids are unique while mounted; `device` is major:minor."""

    mount_id: int
    parent_id: int
    device: str
    root: str
    point: str
    file_system: str


@dataclass(frozen=True)
class Mounts:
    """All mounts at one time. `polled` are directories that the configuration declares to be remote.

    Methods take paths without symbolic links, which need not exist. They access nothing but /proc, except where noted.
    """

    mounts: tuple[Mount, ...]
    polled: tuple[str, ...] = ()

    @classmethod
    def current(cls, polled: tuple[str, ...] = ()) -> "Mounts":
        """Return the mounts of this process."""
        return cls(parse(MOUNTS.read_bytes()), polled)

    @classmethod
    def of_process(cls, pid: int) -> "Mounts":
        """Return the mounts of another process. Raises OSError."""
        return cls(parse(Path(f"/proc/{pid}/mountinfo").read_bytes()))

    def entered_by(self, path: str) -> tuple[Mount, ...]:
        """Return the mounts that a walk from the root to `path` enters, in order; `path` is on the last one."""
        known_ids = {mount.mount_id for mount in self.mounts if mount.mount_id != mount.parent_id}
        above = [mount for mount in self.mounts if _is_in(path, mount.point)]
        children = [mount for mount in above if mount.parent_id not in known_ids]
        entered: list[Mount] = []
        while children:
            outermost = min(children, key=lambda mount: len(mount.point))  # it hides those with longer mount points
            entered.append(outermost)
            children = [mount for mount in above if mount.parent_id == outermost.mount_id and mount not in entered]
        return tuple(entered)

    def file_system_type(self, path: str) -> str:
        """Return the type of the file system that `path` is on: ext4, nfs4, fuse.sshfs; '' if it is on none."""
        entered = self.entered_by(path)
        return entered[-1].file_system if entered else ""

    def device_and_path(self, path: str) -> tuple[str, str]:
        """Return the device that `path` is on, as major:minor, and the path within the file system on that device."""
        entered = self.entered_by(path)
        if not entered:
            return "", path
        mount = entered[-1]
        below_mount = os.path.relpath(path, mount.point)
        return mount.device, os.path.normpath(os.path.join(mount.root, below_mount))

    def remote_mount(self, path: str) -> Mount | None:
        """Return the first remote mount on the way to `path`, None if there is none.

        Accessing `path` may then hang, and inotify may miss changes there.
        """
        entered = self.entered_by(path)
        if not entered:
            return None
        if any(_is_in(path, directory) for directory in self.polled):
            return entered[-1]
        visible = {mount.point: mount for mount in entered}  # if several are mounted on one point, the last one
        for mount in visible.values():
            if not inotify_works_on(mount.file_system):
                return mount
        return None

    def resolve_links(self, path: str) -> str:
        """Return `path` with symbolic links resolved up to the first remote file system. Accesses local disks.

        Only links owned by root or by ourselves are followed: other owners could direct our work to any place.
        """
        resolved, remaining, links = "/", path.split("/"), 0
        while remaining:
            current = os.path.normpath(os.path.join(resolved, remaining.pop(0)))
            if self.remote_mount(current):
                return os.path.normpath(os.path.join(current, *remaining))
            target = _trusted_target(current)
            if target is None:
                resolved = current
                continue
            links += 1
            if links > _MAX_LINKS:
                return os.path.normpath(os.path.join(current, *remaining))
            remaining = [*target.split("/"), *remaining]
            resolved = "/" if target.startswith("/") else resolved
        return resolved

    def contains_symlink(self, path: str) -> bool:
        """Return whether a path that `resolve_links` returned still contains a link, that is, one it must not follow.

        Accesses local disks.
        """
        for prefix in (*map(str, reversed(PurePath(path).parents)), path):
            if self.remote_mount(prefix):
                return False
            if os.path.islink(prefix):
                return True
        return False


def file_system_type(path: str) -> str:
    """Return the type of the file system that a path without symbolic links is on now."""
    return Mounts.current().file_system_type(path)


def inotify_works_on(file_system: str) -> bool:
    """Return whether all changes to a file system of this type go through this kernel, so that inotify sees them."""
    return file_system.partition(".")[0] not in _REMOTE_TYPES


@lru_cache(maxsize=4)
def parse(mountinfo: bytes) -> tuple[Mount, ...]:
    """Parse the content of a mountinfo file."""
    return tuple(_parse_line(line) for line in os.fsdecode(mountinfo).splitlines())


def _trusted_target(path: str) -> str | None:
    """Return the target of the link at `path`; None if it is not a link, or not owned by root or ourselves."""
    with suppress(OSError):
        link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(link).st_uid in (0, os.geteuid()):
                return os.readlink("", dir_fd=link)
        finally:
            os.close(link)
    return None


def _parse_line(line: str) -> Mount:
    fields, _, rest = line.partition(" - ")
    mount_id, parent_id, device, root, point, *_ = fields.split(" ")  # then any number of optional fields
    file_system = rest.split(" ")[0]
    return Mount(int(mount_id), int(parent_id), device, _unescape(root), _unescape(point), file_system)


def _unescape(escaped: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), escaped)


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
