"""What all system tests share: the kernel, which a container uses as it finds it."""

from collections.abc import Iterator

import pytest

from tests.support.kernel import cores_in_working_directory


@pytest.fixture(scope="session", autouse=True)
def _cores_in_working_directory() -> Iterator[None]:
    """Where the kernel writes cores is a setting of the machine, which no container can change."""
    with cores_in_working_directory():
        yield
