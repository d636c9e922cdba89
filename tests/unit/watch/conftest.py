"""Fixtures of the tests of scanners: a queue and a finder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.claims.claim import Claims
from astbtd.claims.finder import CoreFinder
from tests.support.finding import Queue, make_claims, make_finder


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return make_claims(tmp_path)


@pytest.fixture
def queue() -> Iterator[Queue]:
    """The queue of the worker."""
    queue = Queue()
    yield queue
    queue.close()


@pytest.fixture
def finder(claims: Claims, queue: Queue) -> CoreFinder:
    return make_finder(claims, queue)
