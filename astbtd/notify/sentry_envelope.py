"""Pack an event of the Sentry protocol, and the texts that belong to it, into an envelope. Pure.

An envelope is a line of JSON, followed by items: a line of JSON that says type and length, the content, a newline
(https://develop.sentry.dev/sdk/data-model/envelopes/). It has at most one event.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from astbtd.lib.serialization import format_rfc3339

LARGEST_ATTACHMENT = 1 << 20
"""The largest size of one attached text, in bytes. What is longer is cut short."""

_NOT_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")


def make_envelope(event: Mapping[str, object], texts: Mapping[str, str], now: datetime) -> bytes:
    """Return an event and the texts that go with it as an envelope. `texts` are by file name.

    Servers compare `now`, the time of sending, with their own clock, to correct times of a host whose clock is wrong.
    """
    header = {"event_id": event["event_id"], "sent_at": format_rfc3339(now), "sdk": event["sdk"]}
    return b"".join((_line(header), *_event_item(event), *_attachments(texts)))


def compress(envelope: bytes) -> bytes:
    """Return an envelope compressed with gzip: the same bytes for the same envelope."""
    return gzip.compress(envelope, mtime=0)


def _event_item(event: Mapping[str, object]) -> Iterator[bytes]:
    yield from _item({"type": "event", "content_type": "application/json"}, _encode(event))


def _attachments(texts: Mapping[str, str]) -> Iterator[bytes]:
    for name, text in texts.items():
        header = {"type": "attachment", "filename": _NOT_IN_FILE_NAME.sub("_", name), "content_type": "text/plain"}
        yield from _item(header, text.encode(errors="replace")[:LARGEST_ATTACHMENT])


def _item(header: Mapping[str, object], content: bytes) -> Iterator[bytes]:
    yield _line({**header, "length": len(content)})
    yield content
    yield b"\n"


def _line(values: Mapping[str, object]) -> bytes:
    return _encode(values) + b"\n"


def _encode(values: Mapping[str, object]) -> bytes:
    """Return JSON on one line. What UTF-8 cannot express becomes `?`: as an escape, it would be invalid elsewhere."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
