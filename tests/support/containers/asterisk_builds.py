"""Images with an Asterisk built from Debian's source package, as people build it: made once, then kept.

Run as a program, it makes all of them (about five minutes each on two cores). Nothing of Asterisk is in this project:
the sources come from the archive that the image's own apt uses.
"""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers import image
from tests.support.containers.image import BOOKWORM, FORKY, Suite

DEBUG_OPTIONS = ("DONT_OPTIMIZE", "DEBUG_THREADS", "BETTER_BACKTRACES")
"""What Asterisk's documentation asks for before a backtrace is taken."""

SOURCE = "/usr/src/asterisk"
"""Where the unpacked and built source is in the image; menuselect and `make` work there as on a builder's machine."""

DETECT_DEADLOCKS = "/usr/sbin/asterisk-detect-deadlocks"
"""In images with DEBUG_THREADS: a second executable, which also has DETECT_DEADLOCKS."""

_BOOKWORM_PACKAGES = (
    *("build-essential", "dpkg-dev", "pkg-config", "libedit-dev", "libjansson-dev", "libxml2-dev", "uuid-dev"),
    *("libsqlite3-dev", "libssl-dev", "binutils-dev", "libncurses-dev", "libiberty-dev"),
)


@dataclass(frozen=True)
class Build:
    """One way to build Asterisk: on which release, with which menuselect options ('' for none)."""

    name: str
    base: Suite
    options: tuple[str, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """The build dependencies, by name; none where apt knows them (`build-dep`)."""
        return _BOOKWORM_PACKAGES if self.base is BOOKWORM else ()

    @property
    def configure(self) -> str:
        """The arguments of ./configure; on forky, files go where Debian's package has them."""
        if self.base is BOOKWORM:
            return "--without-pjproject --without-pjproject-bundled"
        return "--libdir=/usr/lib/x86_64-linux-gnu --with-pjproject-bundled=no"


FORKY_DEBUG = Build("forky-debug", FORKY, DEBUG_OPTIONS)
BOOKWORM_DEBUG = Build("bookworm-debug", BOOKWORM, DEBUG_OPTIONS)
BOOKWORM_DEFAULT = Build("bookworm-default", BOOKWORM, ())
BUILDS = (FORKY_DEBUG, BOOKWORM_DEBUG, BOOKWORM_DEFAULT)

_MAKE = r"""
export DEBIAN_FRONTEND=noninteractive
mirror=$1 packages=$2 configure=$3 options=$4
echo "deb-src $mirror forky main" > /etc/apt/sources.list.d/asterisk-source.list
apt-get update -q
policy=/usr/sbin/policy-rc.d
printf '#!/bin/sh\nexit 101\n' > $policy; chmod 755 $policy
if [ -n "$packages" ]; then
    apt-get install -qy --no-install-recommends $packages
else
    apt-get build-dep -qy --no-install-recommends asterisk
fi
mkdir -p /usr/src/download; cd /usr/src/download
apt-get source -q --download-only asterisk
dpkg-source --no-check -x asterisk_*.dsc /usr/src/asterisk
rm -f $policy; rm -rf /usr/src/download
cd /usr/src/asterisk
sed -i 's/bfd_boolean/bool/' main/backtrace.c
./configure -q $configure
make -s menuselect.makeopts
for option in $options; do menuselect/menuselect --enable $option menuselect.makeopts; done
menuselect/menuselect --disable-category MENUSELECT_CORE_SOUNDS --disable-category MENUSELECT_MOH menuselect.makeopts
make -s -j2 NOISY_BUILD=
make -s install
[ -f /etc/asterisk/asterisk.conf ] || make -s basic-pbx || make -s samples
case "$options" in *DEBUG_THREADS*)
    cp main/asterisk /tmp/asterisk
    rm -f main/lock.[io]
    make -s main ASTCFLAGS=-DDETECT_DEADLOCKS
    install -m 755 main/asterisk /usr/sbin/asterisk-detect-deadlocks
    mv /tmp/asterisk main/asterisk ;;
esac
id asterisk >/dev/null 2>&1 || useradd --system --home-dir /var/lib/asterisk asterisk
chown -R asterisk: /var/lib/asterisk /var/log/asterisk /var/spool/asterisk /etc/asterisk
mkdir -p /var/run/asterisk; chown asterisk: /var/run/asterisk
apt-get clean
"""


def cached_build(build: Build) -> Path:
    """The image with this build, made first if it is missing or the recipe has changed."""
    base = image.cached_image(build.base)
    images = image.images_directory()
    built = images / build.name
    with image.locked(images / f".{build.name}.lock"):
        if not _is_current(built, build, base):
            building = images / f".{build.name}.building"
            shutil.rmtree(building, ignore_errors=True)
            subprocess.run(("cp", "--archive", "--reflink=auto", base, building), check=True)
            image.run_in(building, "sh", "-exc", _MAKE, "sh", image.mirror(), *_arguments(build))
            stamp(building).write_text(_recipe(build, base))
            shutil.rmtree(built, ignore_errors=True)
            building.rename(built)
    return built


def is_built(build: Build) -> bool:
    """Return whether the image with this build has been made, and with today's recipe."""
    images = image.images_directory()
    base = images / build.base.name
    return (base / image.STAMP).is_file() and _is_current(images / build.name, build, base)


def _arguments(build: Build) -> tuple[str, str, str]:
    return " ".join(build.packages), build.configure, " ".join(build.options)


def _recipe(build: Build, base: Path) -> str:
    """A hash of all that decides what the image contains: the base image, the script and its arguments."""
    parts = ((base / image.STAMP).read_text(), _MAKE, *_arguments(build))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_current(built: Path, build: Build, base: Path) -> bool:
    recipe = stamp(built)
    return recipe.is_file() and recipe.read_text() == _recipe(build, base)


def stamp(root: Path) -> Path:
    """Return the file in an image that says which build it has."""
    return root / "etc/astbtd-asterisk-build"


if __name__ == "__main__":
    for each in BUILDS:
        cached_build(each)
