"""Settings of all tests: hypothesis profiles, where messages go, and the tests that need root."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A failed assertion in a helper shows its values too. This must precede the first import of one.
pytest.register_assert_rewrite("tests.support")

from tests.support import kernel  # noqa: E402 - see above

_TESTS = Path(__file__).parent
_ROOT_DIRECTORIES = (_TESTS / "integration", _TESTS / "system")
_ROOT_FIXTURES = {"plain_user"}

# Messages go to standard error, with and without a journald: the tests read them there, and no journal gets them.
os.environ["ASTBTD_LOG_TARGET"] = "stderr"

# A test, and making its examples, may take long on a loaded machine.
settings.register_profile("astbtd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", deadline=timedelta(seconds=10), max_examples=50_000, print_blob=True)
# On an emulated machine every example is slow.
settings.register_profile("emulated", settings.get_profile("astbtd"), max_examples=10)
settings.load_profile("astbtd")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need root, and skip them for other users."""
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        if _needs_root(item):
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(skip)


def _needs_root(item: pytest.Item) -> bool:
    """Return whether a test has the mark `root`, is below tests/integration or tests/system, or uses such a fixture."""
    if item.get_closest_marker("root") or any(item.path.is_relative_to(each) for each in _ROOT_DIRECTORIES):
        return True
    return bool(_ROOT_FIXTURES & set(getattr(item, "fixturenames", ())))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Restore core_pattern when all tests have ended.

    The workers of pytest-xdist leave it alone: one may end while a test of another still needs it.
    """
    if hasattr(session.config, "workerinput"):
        yield
    else:
        with kernel.restored_core_pattern():
            yield
