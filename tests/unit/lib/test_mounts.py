"""The mount table: which file system a directory is on, and whether it is remote."""

import os
from pathlib import Path

import pytest

from astbtd.lib.mounts import Mounts, file_system_type, inotify_works_on, parse

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
28 27 0:25 / /srv rw shared:2 master:7 - xfs /dev/vdb rw
41 28 0:40 / /srv/asterisk rw - nfs4 server:/asterisk rw,vers=4.2
42 28 0:41 / /srv/with\040space rw - cifs //server/share rw
43 28 0:42 / /srv/with\134backslash rw - fuse.sshfs user@host: rw
44 27 0:43 / /mnt rw - autofs systemd-1 rw
45 44 0:44 / /mnt rw - nfs server:/mnt rw
46 27 0:45 /a\040-\040b /bound rw - tmpfs tmpfs rw
47 41 254:1 / /srv/asterisk/disk rw - ext4 /dev/vdc rw
48 28 254:2 / /srv/hidden/below rw - nfs server:/below rw
49 28 254:3 /part /srv/hidden rw - ext4 /dev/vdd rw
50 27 0:50 / /opt rw - autofs systemd-1 rw
51 50 254:4 / /opt rw - ext4 /dev/vde rw
"""

MOUNTS = Mounts(parse(MOUNTINFO), polled=("/srv/odd",))


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
        ("/srv/asterisk/disk/cores", "ext4"),
        ("/srv/hidden/below/cores", "ext4"),
    ],
)
def test_the_type_is_that_of_the_last_mount_on_the_path(path: str, expected: str) -> None:
    assert MOUNTS.file_system_type(path) == expected


def test_without_a_mount_there_is_no_type() -> None:
    assert Mounts(()).file_system_type("/srv") == ""


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/srv/asterisk", "/srv/asterisk"),
        ("/srv/asterisk/disk/cores", "/srv/asterisk"),
        ("/mnt/cores", "/mnt"),
        ("/srv/odd", "/srv"),
        ("/srv/odd/below", "/srv"),
    ],
)
def test_the_first_remote_mount_on_the_path_is_returned(path: str, point: str) -> None:
    mount = MOUNTS.remote_mount(path)

    assert mount is not None
    assert mount.point == point


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/odder", "/srv/hidden/below", "/opt/asterisk", "/proc/1"])
def test_a_local_directory_has_no_remote_mount(path: str) -> None:
    assert MOUNTS.remote_mount(path) is None


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/srv/asterisk/cores", ("0:40", "/cores")),
        ("/srv/hidden/cores", ("254:3", "/part/cores")),
        ("/srv/hidden", ("254:3", "/part")),
        ("/", ("254:0", "/")),
    ],
)
def test_device_and_path_do_not_depend_on_the_mount_point(path: str, device: tuple[str, str]) -> None:
    assert MOUNTS.device_and_path(path) == device


def test_links_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/up").symlink_to("../other")
    (tmp_path / "link").symlink_to("real")

    assert Mounts.current().resolve_links(f"{tmp_path}/link/up/./cores") == str(tmp_path / "other/cores")
    assert Mounts.current().resolve_links(f"{tmp_path}/link/up/../cores") == str(tmp_path / "cores")


@pytest.mark.root
def test_links_of_other_users_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    os.chown(tmp_path / "link", 12345, -1, follow_symlinks=False)

    assert Mounts.current().resolve_links(f"{tmp_path}/link/cores") == f"{tmp_path}/link/cores"
    assert Mounts.current().contains_symlink(f"{tmp_path}/link/cores")
    assert not Mounts.current().contains_symlink(f"{tmp_path}/there/cores")


def test_circular_links_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert Mounts.current().resolve_links(f"{tmp_path}/one").startswith(f"{tmp_path}/")


def test_links_are_not_resolved_beyond_a_remote_mount(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote/link").symlink_to("/elsewhere")
    (tmp_path / "link").symlink_to("remote/link")
    mounts = Mounts.current(polled=(str(tmp_path / "remote"),))

    assert mounts.resolve_links(f"{tmp_path}/link/cores") == f"{tmp_path}/remote/link/cores"


def test_the_type_on_this_machine_is_read() -> None:
    assert file_system_type("/proc/self") == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "fuse.bindfs", "9p", "virtiofs"])
def test_inotify_does_not_work_on_remote_file_systems(kind: str) -> None:
    assert not inotify_works_on(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", ""])
def test_inotify_works_on_local_file_systems(kind: str) -> None:
    assert inotify_works_on(kind)
