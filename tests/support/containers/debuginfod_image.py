"""The image of forky with Debian's debuginfod, its client and its server, and with binutils: made once, then kept."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.containers import image
from tests.support.containers.image import FORKY

_MAKE = """
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update
env DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends install debuginfod binutils
rm /usr/sbin/policy-rc.d
apt-get clean
"""


def cached_debuginfod_image() -> Path:
    """The image, made first if it is missing, or if its recipe or the image of forky has changed."""
    base = image.cached_image(FORKY)
    made = image.images_directory() / "forky-debuginfod"
    recipe = hashlib.sha256(f"{_MAKE}\0{(base / image.STAMP).read_text()}".encode()).hexdigest()
    with image.locked(made.with_name(f".{made.name}.lock")):
        if not (made / image.STAMP).is_file() or (made / image.STAMP).read_text() != recipe:
            building = made.with_name(f".{made.name}.building")
            shutil.rmtree(building, ignore_errors=True)
            subprocess.run(("cp", "--archive", base, building), check=True)
            image.run_in(building, "sh", "-exc", _MAKE)
            (building / image.STAMP).write_text(recipe)
            shutil.rmtree(made, ignore_errors=True)
            building.rename(made)
    return made
