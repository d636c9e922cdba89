"""The parts of the package's description that pyproject.toml cannot hold.

`project.license` cannot: setuptools 66, which Debian 12 has, does not accept an SPDX expression there, and setuptools
after February 2027 accepts nothing else. Both accept the same text as an argument of setup().
"""

import os
import shutil
import subprocess
import sys
import sysconfig

from setuptools import setup
from setuptools.command.dist_info import dist_info

EXPLANATION = """
astbtd: cannot install systemd-python: {missing}.
  It has no binary packages and is compiled here.
  hint: on Debian: apt-get install gcc pkg-config libsystemd-dev python3-dev
        or use the distribution's package: apt-get install python3-systemd, and a virtual environment created with
        python3 -m venv --system-site-packages DIR
"""


class CheckedDistInfo(dist_info):
    """The first command of `pip install`: explains what is missing before the dependencies are compiled."""

    def run(self):
        missing = find_missing()
        if missing and not has_systemd():
            sys.exit(EXPLANATION.format(missing=", ".join(missing)))
        super().run()


def has_systemd():
    """Return whether the Python to install into has the module systemd.journal, which then is not compiled."""
    command = [sys.executable, "-I", "-c", "import systemd.journal"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def find_missing():
    """Return what the compilation of systemd-python needs and this machine does not have."""
    missing = []
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        missing.append("no C compiler")
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        missing.append("no header Python.h")
    if not shutil.which("pkg-config"):
        missing.append("no pkg-config")
    elif subprocess.run(["pkg-config", "--exists", "libsystemd"]).returncode:
        missing.append("no headers of libsystemd")
    return missing


setup(license="GPL-2.0-or-later", cmdclass={"dist_info": CheckedDistInfo})
