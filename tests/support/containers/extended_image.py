"""Images of a suite with further packages of Debian: made once from the image of the suite, then kept."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.containers import image
from tests.support.containers.asterisk_builds import FORKY_DEBUG, cached_build, stamp
from tests.support.containers.image import BOOKWORM, FORKY, Suite

_MAKE = """
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update
env DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends install {packages}
rm /usr/sbin/policy-rc.d
apt-get clean
"""


def cached_debuginfod_image() -> Path:
    """Forky with debuginfod, client and server, and with binutils."""
    return _cached_of_suite(FORKY, "debuginfod", "debuginfod binutils")


def cached_debug_debuginfod_image() -> Path:
    """The same with an Asterisk that was built from source, with its debug information."""
    base = cached_build(FORKY_DEBUG)
    return _cached(base, stamp(base).read_text(), f"{FORKY_DEBUG.name}-debuginfod", "debuginfod binutils")


def cached_monitoring_image() -> Path:
    """Debian 12 with Prometheus' node exporter and library, and with the two ends of systemd's journal transport."""
    return _cached_of_suite(
        BOOKWORM, "monitoring", "curl prometheus-node-exporter python3-prometheus-client systemd-journal-remote"
    )


def cached_chat_image() -> Path:
    """Debian 12 with its apprise, through which chats and webhooks are notified."""
    return _cached_of_suite(BOOKWORM, "chat", "apprise")


def _cached_of_suite(suite: Suite, name: str, packages: str) -> Path:
    base = image.cached_image(suite)
    return _cached(base, (base / image.STAMP).read_text(), f"{suite.name}-{name}", packages)


def _cached(base: Path, version: str, name: str, packages: str) -> Path:
    """The image `name`, made first if it is missing, or if its recipe or the `version` of the image `base` changed."""
    made = image.images_directory() / name
    make = _MAKE.format(packages=packages)
    recipe = hashlib.sha256(f"{make}\0{version}".encode()).hexdigest()
    with image.locked(made.with_name(f".{made.name}.lock")):
        if not (made / image.STAMP).is_file() or (made / image.STAMP).read_text() != recipe:
            building = made.with_name(f".{made.name}.building")
            shutil.rmtree(building, ignore_errors=True)
            subprocess.run(("cp", "--archive", base, building), check=True)
            image.run_in(building, "sh", "-exc", make)
            (building / image.STAMP).write_text(recipe)
            shutil.rmtree(made, ignore_errors=True)
            building.rename(made)
    return made
