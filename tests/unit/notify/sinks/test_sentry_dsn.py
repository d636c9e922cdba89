"""DSNs of error trackers."""

import pytest

from astbtd.errors import AstbtdError
from astbtd.notify.sinks.sentry_dsn import parse_dsn

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        (f"https://{KEY}@tracker.example.org/7", "tracker.example.org", None, "/api/7/envelope/"),
        (f"https://{KEY}@tracker.example.org:8443/7\n", "tracker.example.org", 8443, "/api/7/envelope/"),
        (f"https://{KEY}:old@o1.ingest.example.org/7", "o1.ingest.example.org", None, "/api/7/envelope/"),
        (f"https://{KEY}@example.org/errors/of/pbx/7", "example.org", None, "/errors/of/pbx/api/7/envelope/"),
        (f"https://{KEY}@[2001:db8::1]:443/7", "2001:db8::1", 443, "/api/7/envelope/"),
        (f"http://{KEY}@127.0.0.1:8000/7", "127.0.0.1", 8000, "/api/7/envelope/"),
        (f"http://{KEY}@[::1]/7", "::1", None, "/api/7/envelope/"),
        (f"http://{KEY}@localhost/7", "localhost", None, "/api/7/envelope/"),
    ],
)
def test_a_dsn_says_where_events_go(text: str, host: str, port: int | None, path: str) -> None:
    dsn = parse_dsn(text)

    assert (dsn.host, dsn.port, dsn.envelope_path, dsn.key) == (host, port, path, KEY)
    assert dsn.encrypted == text.startswith("https")


def test_the_key_is_in_the_header_and_not_in_the_representation() -> None:
    dsn = parse_dsn(f"https://{KEY}@example.org/7")

    assert f"sentry_key={KEY}" in dsn.authentication
    assert KEY not in repr(dsn)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "scheme and key and host and project"),
        (f"ftp://{KEY}@example.org/7", "scheme"),
        ("https://example.org/7", "key"),
        (f"https://{KEY}@example.org/", "project"),
        (f"https://{KEY}@example.org/a b/7", "path"),
        (f"https://{KEY}@exam\r\nple.org/7", None),
        (f"https://{KEY}@example.org/7?x=1", "end"),
        (f"https://{KEY}\r\nX: y@example.org/7", None),
        (f"https://{KEY}@[::1/7", None),
        (f"https://{KEY}@example.org:port/7", None),
    ],
)
def test_what_is_no_dsn_is_refused_without_showing_the_key(text: str, part: str | None) -> None:
    with pytest.raises(AstbtdError) as raised:
        parse_dsn(text)

    assert raised.value.message.startswith("the DSN of the error tracker is invalid")
    assert part is None or raised.value.message.endswith(f"its {part}")
    assert "copy the DSN" in raised.value.remedy
    assert KEY not in str(raised.value)


def test_a_key_is_not_sent_unencrypted_through_a_network() -> None:
    with pytest.raises(AstbtdError, match=r"at tracker\.example\.org has no https: its key would be readable"):
        parse_dsn(f"http://{KEY}@tracker.example.org/7")
