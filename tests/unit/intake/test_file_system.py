"""Which file system a directory is on, and where inotify is blind."""

import pytest

from astbtd.intake.file_system import inotify_sees, type_in, type_of

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
28 27 0:25 / /srv rw shared:2 master:7 - xfs /dev/vdb rw
41 28 0:40 / /srv/asterisk rw - nfs4 server:/asterisk rw,vers=4.2
42 28 0:41 / /srv/with\040space rw - cifs //server/share rw
43 28 0:42 / /srv/with\134backslash rw - fuse.sshfs user@host: rw
44 27 0:43 / /mnt rw - autofs systemd-1 rw
45 44 0:44 / /mnt rw - nfs server:/mnt rw
46 27 0:45 /a\040-\040b /bound rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/var/lib/asterisk", "ext4"),
        ("/srv", "xfs"),
        ("/srv/asterisk", "nfs4"),
        ("/srv/asterisk/not/yet", "nfs4"),
        ("/srv/asterisk2", "xfs"),
        ("/srv/with space/cores", "cifs"),
        ("/srv/with", "xfs"),
        ("/srv/with\\backslash", "fuse.sshfs"),
        ("/mnt/cores", "nfs"),
        ("/proc/1", "proc"),
        ("/bound", "tmpfs"),
    ],
)
def test_the_type_is_that_of_the_nearest_mount_above(path: str, expected: str) -> None:
    assert type_in(MOUNTS, path) == expected


def test_without_a_mount_above_there_is_no_type() -> None:
    assert type_in("", "/srv") == ""


def test_this_machine_tells_its_own() -> None:
    assert type_of("/proc/self") == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "fuse.bindfs", "9p", "virtiofs"])
def test_inotify_is_blind_where_others_make_changes(kind: str) -> None:
    assert not inotify_sees(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", ""])
def test_inotify_sees_what_this_machine_does_alone(kind: str) -> None:
    assert inotify_sees(kind)
