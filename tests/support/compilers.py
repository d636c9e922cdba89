"""The C compilers for the machines that astbtd knows: the native one, and Debian's cross compilers for the others."""

import os
import shutil

import pytest

_CROSS_PREFIXES = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
MACHINES = tuple(_CROSS_PREFIXES)
"""The names of the machines, as in uname(2)."""


def compiler_for(machine: str) -> str:
    """Return gcc for a machine. Skip the test if it is not installed: `make test` installs it on amd64."""
    if machine == os.uname().machine:
        return "gcc"
    compiler = f"{_CROSS_PREFIXES[machine]}-gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    return compiler
