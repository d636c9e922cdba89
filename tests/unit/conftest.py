"""What the unit tests share."""

import os
from collections.abc import Callable, Iterator

import pytest

OpenFile = Callable[[bytes], int]


@pytest.fixture
def memory_file() -> Iterator[OpenFile]:
    """Makes a file with the content given, in memory, and returns the descriptor it is open at."""
    opened: list[int] = []

    def make(content: bytes) -> int:
        descriptor = os.memfd_create("test")
        opened.append(descriptor)
        os.write(descriptor, content)
        return descriptor

    yield make
    for descriptor in opened:
        os.close(descriptor)
