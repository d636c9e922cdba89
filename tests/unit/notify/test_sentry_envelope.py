"""The envelope in which an event and its attachments are sent."""

import gzip
import json

from astbtd.notify.sentry_envelope import LARGEST_ATTACHMENT, compress, make_envelope
from tests.support.builders import NOON

EVENT = {"event_id": "ab" * 16, "sdk": {"name": "astbtd"}, "server_name": "pbx7"}


def test_it_has_a_header_and_the_event_with_its_length() -> None:
    header, item, event, end = make_envelope(EVENT, {}, NOON).split(b"\n")

    assert json.loads(header) == {
        "event_id": "ab" * 16,
        "sent_at": "2026-11-22T12:00:00.000Z",
        "sdk": {"name": "astbtd"},
    }
    assert json.loads(item) == {"type": "event", "content_type": "application/json", "length": len(event)}
    assert json.loads(event) == EVENT
    assert end == b""


def test_texts_are_attachments() -> None:
    lines = make_envelope(EVENT, {"report.txt": "line 1\nline 2\n"}, NOON).split(b"\n", 4)

    assert json.loads(lines[3]) == {
        "type": "attachment",
        "filename": "report.txt",
        "content_type": "text/plain",
        "length": 14,
    }
    assert lines[4] == b"line 1\nline 2\n\n"


def test_a_file_name_is_a_plain_name() -> None:
    assert b'"filename":".._.._etc_passwd"' in make_envelope(EVENT, {"../../etc/passwd": ""}, NOON)


def test_a_long_text_is_cut_short() -> None:
    envelope = make_envelope(EVENT, {"full.txt": "x" * (LARGEST_ATTACHMENT + 1)}, NOON)

    assert envelope.count(b"x" * LARGEST_ATTACHMENT) == 1
    assert f'"length":{LARGEST_ATTACHMENT}'.encode() in envelope


def test_what_utf_8_cannot_express_is_replaced() -> None:
    assert b'"server_name":"p?x"' in make_envelope({**EVENT, "server_name": "p\udce9x"}, {}, NOON)


def test_the_same_envelope_is_compressed_to_the_same_bytes() -> None:
    envelope = make_envelope(EVENT, {}, NOON)

    assert gzip.decompress(compress(envelope)) == envelope
    assert compress(envelope) == compress(envelope)
