"""The package that owns a file, with the real dpkg-query where there is one."""

import os
import shutil
from pathlib import Path

import pytest

from astbtd.extraction.package_owner import find_package

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg-query")


@needs_dpkg
def test_a_file_of_a_package_has_that_package() -> None:
    assert find_package("/usr/bin/dpkg-query") == "dpkg"


@needs_dpkg
def test_a_library_is_found_by_the_path_of_the_merged_directory() -> None:
    """dpkg may know /lib/x86_64-linux-gnu/libc.so.6 by that path only, and cores by /usr/lib."""
    libc = next(Path("/usr/lib").glob("*/libc.so.6"))

    assert find_package(os.fspath(libc)) == "libc6"


@pytest.mark.parametrize("path", ["/nonexistent/libx.so", "relative.so", "/usr/bin/*", "/usr/../bin/dpkg", "/a\nb", ""])
def test_other_paths_have_none(path: str) -> None:
    assert find_package(path) is None
