"""How long a server wants to get nothing more."""

import pytest

from astbtd.notify.sinks.rate_limit_headers import pause_of
from tests.support.builders import NOON


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {}, None),
        (503, {}, None),
        (429, {}, 60),
        (429, {"retry-after": "17"}, 17),
        (503, {"retry-after": " 120 "}, 120),
        (503, {"retry-after": "Sun, 22 Nov 2026 12:02:00 GMT"}, 120),
        (503, {"retry-after": "Sun, 22 Nov 2026 12:02:00 -0000"}, 120),
        (503, {"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        (503, {"retry-after": "soon"}, None),
        (429, {"retry-after": "-5"}, 60),
        (429, {"retry-after": "999999999999999999999"}, 86_400),
        (200, {"x-sentry-rate-limits": "60:error:organization:quota"}, 60),
        (200, {"x-sentry-rate-limits": "60:default;error:key, 2700:transaction:organization"}, 60),
        (200, {"x-sentry-rate-limits": "30::key, 90:error:project"}, 90),
        (200, {"x-sentry-rate-limits": "86400:transaction;span:organization"}, None),
        (429, {"x-sentry-rate-limits": "60::key, 86400:transaction;span:organization", "retry-after": "5"}, 60),
        (429, {"x-sentry-rate-limits": "86400:transaction;span:organization", "retry-after": "5"}, 5),
        (429, {"x-sentry-rate-limits": ",:,x:y:z,12"}, 12),
    ],
)
def test_the_headers_of_an_answer_say_how_long_to_wait(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert pause_of(status, headers, NOON) == seconds
