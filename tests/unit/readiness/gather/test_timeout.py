"""Facts that cannot be had become answers that say why."""

import threading
from collections.abc import Callable

import pytest

from astbtd.errors import AstbtdError
from astbtd.readiness.gather.timeout import known
from astbtd.readiness.result import NEEDS_ROOT, Unknown


def raising(error: Exception) -> Callable[[], None]:
    def ask() -> None:
        raise error

    return ask


def test_a_fact() -> None:
    assert known("the answer", lambda: 42) == 42
    assert known("the answer", lambda: None) is None


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (PermissionError(13, "Permission denied"), "it cannot be read without being root", NEEDS_ROOT),
        (FileNotFoundError(2, "No such file"), "it is not there", None),
        (ProcessLookupError(3, "No such process"), "it is not there", None),
        (OSError(5, "Input/output error"), "it cannot be read: Input/output error", None),
        (AstbtdError("broken", "mend it"), "it: broken", "mend it"),
    ],
)
def test_a_fact_that_cannot_be_had(error: Exception, reason: str, remedy: str | None) -> None:
    assert known("it", raising(error)) == Unknown(reason, remedy)


def test_a_question_that_hangs_is_left_to_itself() -> None:
    answered = threading.Event()

    assert known("it", lambda: answered.wait(), seconds=0.1) == Unknown("it: no answer within 0.1 s")

    answered.set()


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        known("it", lambda: 1 // 0)
