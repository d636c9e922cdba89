"""Images on which the Debian package is installed for the first time: without any package that astbtd depends on.

Those packages are downloaded into the cache of apt, which installs them from there in a container without network.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.containers import image
from tests.support.containers.image import Suite

_STAMP = "etc/astbtd-image"
_APT_SETTINGS = "etc/apt/apt.conf.d/90-from-host"
_INSTALL = "env DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends"
_MAKE = f"""
apt-get update
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
{_INSTALL} install {" ".join(image.SYSTEM_PACKAGES)}
rm /usr/sbin/policy-rc.d
env DEBIAN_FRONTEND=noninteractive apt-get --yes --download-only install $1
echo 'APT::Keep-Downloaded-Packages "true";' >/etc/apt/apt.conf.d/91-keep
"""


def cached_package_image(suite: Suite) -> Path:
    """The image for a suite, made first if it is missing or its recipe has changed."""
    images = image.images_directory()
    made = images / f"{suite.name}-package"
    with image.locked(images / f".{made.name}.lock"):
        if not _is_current(made):
            building = images / f".{made.name}.building"
            shutil.rmtree(building, ignore_errors=True)
            _build(building, suite)
            shutil.rmtree(made, ignore_errors=True)
            building.rename(made)
    return made


def _build(root: Path, suite: Suite) -> None:
    script = "/usr/share/debootstrap/scripts/sid"
    base = image.cached_image(suite)
    subprocess.run(("debootstrap", "--variant=minbase", suite.name, root, image.mirror(), script), check=True)
    (root / "etc/hostname").write_text("pbx\n")
    (root / _APT_SETTINGS).write_text((base / _APT_SETTINGS).read_text())
    image.run_in(root, "sh", "-exc", _MAKE, "sh", _dependencies())
    (root / _STAMP).write_text(_recipe())


def _dependencies() -> str:
    """What README's set-up installs, which is what the package depends on."""
    command = ("make", "-s", f"--directory={image.CHECKOUT}", "run-packages")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _is_current(made: Path) -> bool:
    stamp = made / _STAMP
    return stamp.is_file() and stamp.read_text() == _recipe()


def _recipe() -> str:
    return hashlib.sha256(f"{_MAKE}\0{_dependencies()}".encode()).hexdigest()
