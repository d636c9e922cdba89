"""The Debian package of this checkout: built on this machine, and installed in containers."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers.container import Container
from tests.support.containers.image import CHECKOUT

_BUILD_SECONDS = 3600  # the unit tests run in it, one after the other
_SHOWN_CHARACTERS = 20_000  # of the output of a build that failed
_IN_CONTAINER = "/srv/packages"


@dataclass(frozen=True)
class Apt:
    """apt in a container without network."""

    container: Container

    def install(self, package: Path) -> None:
        """`apt install ./FILE`, with standard input closed, so that a question fails."""
        self.container.copy_in(package, f"{_IN_CONTAINER}/{package.name}")
        self._run("install", f"{_IN_CONTAINER}/{package.name}")

    def remove(self) -> None:
        """`apt remove astbtd`."""
        self._run("remove", "astbtd")

    def purge(self) -> None:
        """`apt purge astbtd`."""
        self._run("purge", "astbtd")

    def _run(self, *arguments: str) -> None:
        self.container.run("apt-get", "--yes", "--quiet", *arguments, timeout=300)


def build(directory: Path, options: str = "nocheck") -> Path:
    """Build the package as `make deb` does, and return the file. `options`: DEB_BUILD_OPTIONS."""
    environment = {**os.environ, "DEB_BUILD_OPTIONS": options}
    command = (CHECKOUT / "packaging/build-deb", directory)
    built = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_SECONDS,
        env=environment,
    )
    assert built.returncode == 0, built.stdout[-_SHOWN_CHARACTERS:]
    (package,) = directory.glob("*.deb")
    return package


def make_newer(package: Path, directory: Path) -> Path:
    """Return a copy of a package with a higher version and a changed configuration file of the package."""
    unpacked = directory / "unpacked"
    subprocess.run(("dpkg-deb", "--raw-extract", package, unpacked), check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9+"))
    with (unpacked / "etc/astbtd.yaml").open("a") as file:
        file.write("# A newer version documents more.\n")
    newer = directory / "astbtd_newer_all.deb"
    subprocess.run(("dpkg-deb", "--root-owner-group", "--build", unpacked, newer), check=True, capture_output=True)
    shutil.rmtree(unpacked)
    return newer
