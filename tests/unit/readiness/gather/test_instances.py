"""What Asterisk's console says of its settings, in the words of several versions."""

import pytest

from astbtd.errors import AstbtdError
from astbtd.readiness.gather.instances import told_by

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


def test_a_version_that_tells_all() -> None:
    told = told_by(NEW)

    built = told.built
    assert told.dumpcore is True
    assert built.version == "22.10.1"
    assert (built.dont_optimize, built.better_backtraces, built.debug_threads) == (True, True, True)
    assert built.build_options == ("DONT_OPTIMIZE", "DEBUG_THREADS", "BETTER_BACKTRACES", "OPTIONAL_API")


def test_a_version_that_tells_less() -> None:
    told = told_by(OLD)

    assert told.dumpcore is None
    assert (told.built.dont_optimize, told.built.debug_threads) == (None, False)


def test_one_that_dumps_no_core() -> None:
    assert told_by(NEW.replace("Yes", "No")).dumpcore is False


@pytest.mark.parametrize("text", ["", "No such command 'core show settings'\n", "Permission denied\n"])
def test_what_is_no_answer(text: str) -> None:
    with pytest.raises(AstbtdError, match="does not answer"):
        told_by(text)
