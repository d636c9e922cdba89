"""The root file system of the emulated machine: Debian 12 for arm64, made once, then kept beside the other images.

apt chooses and downloads the packages, and they are unpacked; none of their scripts runs. Nothing is executed for
another processor, so that this takes a minute, needs no binfmt_misc, and can be done on any machine.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.containers import image
from tests.support.containers.image import BOOKWORM

INIT = "/usr/local/sbin/init-of-tests"
"""The program to start as process 1 in place of systemd: it runs a shell command and switches the machine off."""


class Unavailable(Exception):
    """The root file system cannot be made on this machine, through no fault of ours. The message says why."""


KERNEL, INITRD = "boot/kernel", "boot/initrd"
"""Where both are in the root file system."""

_APT_FAILED = 100
"""The exit status of apt-get after an error."""

_BUILD_SECONDS = 3600
_STAMP = "etc/astbtd-image"
_BOOT_PACKAGES = ("linux-image-arm64", "busybox-static", "kmod", "udev", "mount", "passwd", "e2fsprogs")
_TEST_PACKAGES = ("g++", "python3-hypothesis", "python3-jinja2", "python3-pytest")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_UNPACK = """
root=$1 suite=$2 mirror=$3 keyring=$4
shift 4
apt=$root/var/cache/build-apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib"
for directory in bin sbin lib; do ln -s "usr/$directory" "$root/$directory"; done
echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/sources.list"
touch "$apt/status"
cat >"$apt/apt.conf" <<EOF
APT::Architecture "arm64"; APT::Architectures "arm64"; APT::Sandbox::User "root";
Dir::State "$apt"; Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status";
Dir::Cache "$apt"; Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
EOF
export APT_CONFIG=$apt/apt.conf
apt-get update -q
apt-get install -qy --no-install-recommends --download-only '?essential' "$@"
for package in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink --directory="$root"
done
rm -rf "$apt"
"""

# What the scripts of the packages would do, as far as the tests need it.
_CONFIGURE = """
root=$1
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
echo 'root:*:20000:0:99999:7:::' >"$root/etc/shadow"
chmod 640 "$root/etc/shadow"
echo pbx >"$root/etc/hostname"
echo uninitialized >"$root/etc/machine-id"
ln -s /usr/share/zoneinfo/UTC "$root/etc/localtime"
ln -s mawk "$root/usr/bin/awk"
# Used by a Python of the same version only.
/usr/bin/python3 -m compileall -qq -s "$root" -p / "$root/usr/share/gdb" "$root"/usr/lib/python3* || true
ln -s "$(basename "$root"/boot/vmlinuz-*)" "$root/boot/kernel"
"""

# The modules in the order in which they need each other; those that the kernel contains are not there.
_MAKE_INITRD = """
root=$1
modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
    crc16 mbcache jbd2 crc32c_generic ext4"
content=$root/var/cache/initrd
mkdir -p "$content/bin" "$content/proc" "$content/sys" "$content/dev" "$content/root" "$content/modules"
cp "$root/bin/busybox" "$content/bin/"
for module in $modules; do
    find "$root/lib/modules" -name "$module.ko" -exec cp {} "$content/modules/" ';'
done
cat >"$content/init" <<EOF
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in $(echo $modules); do
    [ ! -f /modules/\\$module.ko ] || /bin/busybox insmod /modules/\\$module.ko
done
while [ ! -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
init=\\$(/bin/busybox sed -n 's/.* init=\\\\([^ ]*\\\\).*/\\\\1/p' /proc/cmdline)
exec /bin/busybox switch_root /root "\\${init:-/sbin/init}"
EOF
chmod 755 "$content/init"
(cd "$content" && find . | cpio --quiet --create --format=newc | gzip) >"$root/boot/initrd"
rm -rf "$content"
"""

_INIT_SCRIPT = """#!/bin/sh
# Process 1 of the emulated machine. The kernel's command line has the command, after `tests=`, with + for blanks.
mounted() { mkdir -p "$2"; mountpoint -q "$2" || mount -t "$1" "$1" "$2"; }
mounted proc /proc
mounted sysfs /sys
mounted devtmpfs /dev
mounted devpts /dev/pts
mounted tmpfs /dev/shm
mounted tmpfs /run
mounted cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
cat /etc/hostname >/proc/sys/kernel/hostname
busybox ifconfig lo up
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
command=$(sed 's/.* tests=//; s/ .*//; s/+/ /g' /proc/cmdline)
sh -c "$command"
sync
echo o >/proc/sysrq-trigger
sleep infinity
"""


def cached_root() -> Path:
    """The root file system, made first if it is missing or its recipe has changed. Raise Unavailable."""
    images = image.images_directory()
    root = images / "bookworm-arm64"
    with image.locked(images / f".{root.name}.lock"):
        packages = _packages()
        if not _is_current(root, packages):
            building = images / f".{root.name}.building"
            shutil.rmtree(building, ignore_errors=True)
            _build(building, packages)
            shutil.rmtree(root, ignore_errors=True)
            building.rename(root)
    return root


def _build(root: Path, packages: tuple[str, ...]) -> None:
    _unpack(root, packages)
    _run(_CONFIGURE, str(root))
    _run(_MAKE_INITRD, str(root))
    init = root / INIT.lstrip("/")
    init.parent.mkdir(parents=True, exist_ok=True)
    init.write_text(_INIT_SCRIPT)
    init.chmod(0o755)
    (root / _STAMP).write_text(_recipe(packages))


def _unpack(root: Path, packages: tuple[str, ...]) -> None:
    if not Path(_KEYRING).exists():
        raise Unavailable(f"{_KEYRING} is missing (package debian-archive-keyring)")
    try:
        _run(_UNPACK, str(root), BOOKWORM.name, image.mirror(), _KEYRING, *packages)
    except RuntimeError as error:
        raise Unavailable(str(error)) from error
    except subprocess.CalledProcessError as error:
        if error.returncode != _APT_FAILED:
            raise
        raise Unavailable("apt cannot download the packages for arm64: see its messages above") from error


def _run(script: str, *arguments: str) -> None:
    command = ("sh", "-exc", script, "sh", *arguments)
    subprocess.run(command, check=True, timeout=_BUILD_SECONDS, stdin=subprocess.DEVNULL)


def _packages() -> tuple[str, ...]:
    command = ("make", "-s", f"--directory={image.CHECKOUT}", "run-packages")
    run_packages = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return (*image.SYSTEM_PACKAGES, *_BOOT_PACKAGES, *_TEST_PACKAGES, *run_packages)


def _is_current(root: Path, packages: tuple[str, ...]) -> bool:
    stamp = root / _STAMP
    return stamp.is_file() and stamp.read_text() == _recipe(packages)


def _recipe(packages: tuple[str, ...]) -> str:
    """A hash of all that decides what the root contains."""
    parts = (_UNPACK, _CONFIGURE, _MAKE_INITRD, _INIT_SCRIPT, *packages)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


if __name__ == "__main__":
    cached_root()
