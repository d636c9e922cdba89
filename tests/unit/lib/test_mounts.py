"""Which file system a directory is on, and where others serve it."""

import os
from pathlib import Path

import pytest

from astbtd.lib.mounts import Mounts, inotify_sees, parse, type_of

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
def test_the_type_is_that_of_the_mount_that_a_walk_ends_in(path: str, expected: str) -> None:
    assert MOUNTS.type_of(path) == expected


def test_without_a_mount_above_there_is_no_type() -> None:
    assert Mounts(()).type_of("/srv") == ""


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
def test_a_place_that_others_serve_is_known_by_the_mount_on_the_way_to_it_that_may_not_answer(
    path: str, point: str
) -> None:
    mount = MOUNTS.served_by_others(path)

    assert mount is not None
    assert mount.point == point


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/odder", "/srv/hidden/below", "/opt/asterisk", "/proc/1"])
def test_a_place_that_this_kernel_serves_is_nobody_elses(path: str) -> None:
    assert MOUNTS.served_by_others(path) is None


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/srv/asterisk/cores", ("0:40", "/cores")),
        ("/srv/hidden/cores", ("254:3", "/part/cores")),
        ("/srv/hidden", ("254:3", "/part")),
        ("/", ("254:0", "/")),
    ],
)
def test_a_directory_is_the_same_wherever_its_device_is_mounted(path: str, device: tuple[str, str]) -> None:
    assert MOUNTS.device_of(path) == device


def test_a_path_is_real_without_its_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/up").symlink_to("../other")
    (tmp_path / "link").symlink_to("real")

    assert Mounts.now().real(f"{tmp_path}/link/up/./cores") == str(tmp_path / "other/cores")
    assert Mounts.now().real(f"{tmp_path}/link/up/../cores") == str(tmp_path / "cores")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_links_of_other_users_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    os.chown(tmp_path / "link", 12345, -1, follow_symlinks=False)

    assert Mounts.now().real(f"{tmp_path}/link/cores") == f"{tmp_path}/link/cores"
    assert Mounts.now().leads_through_a_link(f"{tmp_path}/link/cores")
    assert not Mounts.now().leads_through_a_link(f"{tmp_path}/there/cores")


def test_links_in_a_circle_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert Mounts.now().real(f"{tmp_path}/one").startswith(f"{tmp_path}/")


def test_a_path_is_not_followed_into_what_others_serve(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote/link").symlink_to("/elsewhere")
    (tmp_path / "link").symlink_to("remote/link")
    mounts = Mounts.now(polled=(str(tmp_path / "remote"),))

    assert mounts.real(f"{tmp_path}/link/cores") == f"{tmp_path}/remote/link/cores"


def test_this_machine_tells_its_own() -> None:
    assert type_of("/proc/self") == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "fuse.bindfs", "9p", "virtiofs"])
def test_inotify_is_blind_where_others_make_changes(kind: str) -> None:
    assert not inotify_sees(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", ""])
def test_inotify_sees_what_this_machine_does_alone(kind: str) -> None:
    assert inotify_sees(kind)
