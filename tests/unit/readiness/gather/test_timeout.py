"""Facts that cannot be determined become `Unknown` with the reason."""

import threading
from collections.abc import Callable

import pytest

from astbtd.errors import AstbtdError
from astbtd.readiness.gather.timeout import ask
from astbtd.readiness.result import NEEDS_ROOT, Unknown


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_fact_that_can_be_determined() -> None:
    assert ask("the answer", lambda: 42) == 42
    assert ask("the answer", lambda: None) is None


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (PermissionError(13, "Permission denied"), "it: permission denied", NEEDS_ROOT),
        (FileNotFoundError(2, "No such file"), "it does not exist", None),
        (ProcessLookupError(3, "No such process"), "it does not exist", None),
        (OSError(5, "Input/output error"), "it cannot be read: Input/output error", None),
        (AstbtdError("broken", "fix it"), "it: broken", "fix it"),
    ],
)
def test_a_fact_that_cannot_be_determined(error: Exception, reason: str, remedy: str | None) -> None:
    assert ask("it", raising(error)) == Unknown(reason, remedy)


def test_a_function_that_hangs_is_abandoned() -> None:
    answered = threading.Event()

    assert ask("it", lambda: answered.wait(), seconds=0.1) == Unknown("it: no answer within 0.1 s")

    answered.set()


def test_an_internal_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ask("it", lambda: 1 // 0)
