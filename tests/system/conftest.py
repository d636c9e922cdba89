"""Fixtures of the system tests."""

import pytest

from tests.support.kernel import use_default_core_pattern


@pytest.fixture(scope="session", autouse=True)
def _default_core_pattern() -> None:
    """Set core_pattern, which a container inherits from the machine and cannot change."""
    use_default_core_pattern()
