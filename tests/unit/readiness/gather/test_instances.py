"""The output of `core show settings` of several versions of Asterisk."""

import pytest

from astbtd.errors import AstbtdError
from astbtd.readiness.gather.instances import parse_core_settings

NEW = """
PBX Core settings
-----------------
  Version:                     22.10.1
  ABI related Build Options:   DEBUG_THREADS, OPTIONAL_API
  All Build Options:           DONT_OPTIMIZE, DEBUG_THREADS, BETTER_BACKTRACES, OPTIONAL_API
  Dump core on crash:          Yes
  Core dump file:              core
  Maximum calls:               Not set
"""
OLD = "  Version:                     11.25.3\n  Build Options:               LOADABLE_MODULES\n"


def test_a_version_that_reports_all_settings() -> None:
    settings = parse_core_settings(NEW)

    built = settings.built
    assert settings.dumpcore is True
    assert built.version == "22.10.1"
    assert (built.dont_optimize, built.better_backtraces, built.debug_threads) == (True, True, True)
    assert built.build_options == ("DONT_OPTIMIZE", "DEBUG_THREADS", "BETTER_BACKTRACES", "OPTIONAL_API")


def test_a_version_that_reports_fewer_settings() -> None:
    settings = parse_core_settings(OLD)

    assert settings.dumpcore is None
    assert (settings.built.dont_optimize, settings.built.debug_threads) == (None, False)


def test_disabled_dumpcore() -> None:
    assert parse_core_settings(NEW.replace("Yes", "No")).dumpcore is False


@pytest.mark.parametrize("text", ["", "No such command 'core show settings'\n", "Permission denied\n"])
def test_other_output_is_an_error(text: str) -> None:
    with pytest.raises(AstbtdError, match="no valid answer"):
        parse_core_settings(text)
