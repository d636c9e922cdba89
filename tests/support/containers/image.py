"""The Debian root file systems that the containers start from: built once, then kept. Run as a program, it builds all.

Environment: `ASTBTD_IMAGES` is the directory that holds images (default `/var/cache/astbtd-images`).
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PACKAGES = ("systemd", "systemd-sysv", "dbus", "procps", "util-linux", "make", "gcc", "libc6-dev")
"""What the tests need in every image, besides what astbtd says that it runs on."""


@dataclass(frozen=True)
class Suite:
    """A release of Debian, and what its image holds besides."""

    name: str
    packages: tuple[str, ...] = ()


BOOKWORM = Suite("bookworm")
TRIXIE = Suite("trixie")
FORKY = Suite("forky", ("asterisk", "asterisk-modules", "asterisk-dev", "systemd-coredump"))
SUITES = (BOOKWORM, TRIXIE, FORKY)

CHECKOUT = Path(__file__).resolve().parents[3]
BUILD_SECONDS = 1800
STAMP = "etc/astbtd-image"


def images_directory() -> Path:
    """The directory that holds images and the throw-away layers of running containers."""
    directory = Path(os.environ.get("ASTBTD_IMAGES", "/var/cache/astbtd-images"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def cached_image(suite: Suite) -> Path:
    """The image of a suite, built first where it is missing or lists other packages."""
    images = images_directory()
    image = images / suite.name
    with locked(images / f".{suite.name}.lock"):
        if not _is_current(image, suite):
            building = images / f".{suite.name}.building"
            _discard(building)
            _build(building, suite)
            _discard(image)
            building.rename(image)
    return image


def _recipe(suite: Suite) -> str:
    """A hash of all that decides what an image contains: this very file, and the packages."""
    return hashlib.sha256(Path(__file__).read_bytes() + " ".join(_packages(suite)).encode()).hexdigest()


def _packages(suite: Suite) -> tuple[str, ...]:
    """The packages of an image; what astbtd runs on is the Makefile's to say."""
    run_packages = _output("make", "-s", f"--directory={CHECKOUT}", "run-packages").split()
    return (*SYSTEM_PACKAGES, *suite.packages, *run_packages)


def _is_current(image: Path, suite: Suite) -> bool:
    stamp = image / STAMP
    return stamp.is_file() and stamp.read_text().strip() == _recipe(suite)


def _build(root: Path, suite: Suite) -> None:
    """Debootstrap, whose script for sid serves all suites, gives the base; apt in the base, the rest."""
    _run("debootstrap", "--variant=minbase", suite.name, str(root), mirror(), "/usr/share/debootstrap/scripts/sid")
    (root / "etc/hostname").write_text("pbx\n")
    (root / "etc/apt/apt.conf.d/90-from-host").write_text(_acquire_settings())
    run_in(root, "apt-get", "update")
    with _services_forbidden(root):
        run_in(root, "apt-get", *_INSTALL_OPTIONS, "install", *_packages(suite))
    run_in(root, "apt-get", "clean")
    (root / STAMP).write_text(_recipe(suite) + "\n")


_INSTALL_OPTIONS = ("--yes", "--no-install-recommends", "--option=Dpkg::Options::=--force-unsafe-io")


@contextmanager
def _services_forbidden(root: Path) -> Iterator[None]:
    """Keep packages from starting their services in the chroot."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    yield
    policy.unlink()


def mirror() -> str:
    """The Debian mirror that this machine's own apt uses."""
    listing = _output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian", "Created-By: Packages")
    if not listing:
        raise RuntimeError("apt knows no mirror of Debian: an image cannot be built on this machine")
    return listing.split()[0]


def _acquire_settings() -> str:
    """This machine's apt settings on how to reach its mirror and how fresh it must be."""
    keys = ("Acquire::http", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    return _output("apt-config", "dump", "--format", '%f "%v";%n', *keys)


def _run(*argv: str) -> None:
    """Run in name spaces of its own: a build that is killed leaves nothing mounted and nothing running."""
    subprocess.run(
        ("unshare", "--mount", "--pid", "--fork", "--kill-child", *argv),
        check=True,
        timeout=BUILD_SECONDS,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
    )


_IN_CHROOT = """
mount -t proc proc "$0/proc"
mount --bind -o ro "$0/proc/sys" "$0/proc/sys"
exec chroot "$0" "$@"
"""
"""A package that brings a core_pattern of its own must not set it on this machine."""


def run_in(root: Path, *argv: str) -> None:
    _run("sh", "-ec", _IN_CHROOT, str(root), *argv)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _discard(root: Path) -> None:
    if root.exists():
        shutil.rmtree(root)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One build at a time, among all test runs of this machine."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for each in SUITES:
        cached_image(each)
