"""What is private goes, what a developer needs stays, and what is the same stays recognisable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.store.redaction.placeholders import Kind
from astbtd.store.redaction.redactor import Redactor
from tests.support.redaction_cases import KEPT, REDACTED

HEADINGS = ("Channel", "Unique ID", "Context", "Extension", "State", "Data", "Caller ID", "Caller name", "Created")
UP = ("PJSIP/a-00000001", "17.1", "default", "5550177", "AST_STATE_UP", "PJSIP/b,30", "+15550100", "Eve", "2025-01-01")
DOWN = ("PJSIP/b-00000002", "17.2", "default", "", "AST_STATE_DOWN", "", "+15550100", "", "2025-01-01")
WIDTHS = (18, 11, 9, 11, 16, 12, 11, 13, 12)


def channels(*rows: tuple[str, ...]) -> str:
    """The table of channels as info.txt has it."""
    lines = ["".join(cell.ljust(width) for cell, width in zip(row, WIDTHS, strict=True)).rstrip() for row in rows]
    return "\n".join(["Channels (2):", *lines, "", "3 active channels", ""])


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('uri = 0x7f12 "sip:alice@pbx.example.org:5060"', 'uri = 0x7f12 "sip:<user-1>@<host-1>:5060"'),
        ("To: <sips:+4930123456@192.0.2.7>", "To: <sips:<user-1>@<address-1>>"),
        ("from 198.51.100.23:5060", "from <address-1>:5060"),
        ("from 2001:db8::7 or [2001:db8:0:0:0:0:0:7]:5060", "from <address-1> or [<address-1>]:5060"),
        ("lladdr 00:16:3e:5e:6c:00", "lladdr <address-1>"),
        ('cid_num=cid_num@entry=0x55 "301"', 'cid_num=cid_num@entry=0x55 "<number-1>"'),
        ("mail to alice@example.org", "mail to <user-1>@<host-1>"),
        ('cid_name = 0x55 "Eve"', 'cid_name = 0x55 "<name-1>"'),
        ('md5_cred = 0x0, secret = "s3c\\"ret"', 'md5_cred = 0x0, secret = "<secret-1>"'),
        ('buf = "a=crypto:1 AES inline:c2VjcmV0|2^31"', 'buf = "a=crypto:1 AES inline:<secret-1>"'),
        ('"Digest realm=\\"x\\", response=\\"6629fae4\\""', '"Digest realm=\\"x\\", response=\\"<secret-1>\\""'),
        ('exten = "0301234567"', 'exten = "<number-1>"'),
        ("dialled +493012345678.", "dialled <number-1>."),
        ("at /home/alice/src/chan.c:12", "at /home/<user-1>/src/chan.c:12"),
        ("on pbx7: crashed", "on <host-1>: crashed"),
    ],
)
def test_private_data_is_replaced(text: str, redacted: str) -> None:
    assert Redactor(hosts=["pbx7"]).text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        '#1  0x00007efff8008231 in hang_up_leg (name=0x7efff8009000 "PJSIP/alice-00000001") at res_x.c:39\n',
        "        tv = {tv_sec = 1735689600, tv_usec = 123456}\n        len = 4294967295\n",
        "Thread 3 (Thread 0x7ff104b17a00 (LWP 1234567)):\n",
        "Asterisk 1.8.10.1 built by root, asterisk-1.4.21.2, version 1.8.32.3",
        "listening on 127.0.0.1:5038, 0.0.0.0 and ::1",
        "std::map<int, pj::Call>::at (this=0x0) at /usr/include/c++/12/bits/stl_map.h:535",
        "Started: 2024-12-31 23:59:59 UTC",
        "a226e0f150be89099d375c6b865b1dba794648ae  /usr/lib/x86_64-linux-gnu/libc.so.6",
        "#0  0x00007f42 in clock_nanosleep@GLIBC_2.2.5 (sig=sig@entry=6, t=t@entry=0x7f13) from /lib64/libc.so.6",
        'password = 0x0, digest = "\\000\\000"',
    ],
)
def test_data_useful_for_debugging_is_kept(text: str) -> None:
    assert Redactor(hosts=["pbx7"]).text(text) == text


@pytest.mark.parametrize(("text", "private"), REDACTED)
def test_private_parts_of_a_text_are_replaced(text: str, private: tuple[str, ...]) -> None:
    redacted = Redactor(hosts=["pbx7"]).text(text)

    assert [part for part in private if part in redacted] == []


@pytest.mark.parametrize("text", KEPT)
def test_data_without_private_parts_is_unchanged(text: str) -> None:
    assert Redactor(hosts=["pbx7"]).text(text) == text


@pytest.mark.parametrize("text", [*(text for text, _ in REDACTED), *KEPT])
def test_each_text_is_complete_after_one_pass(text: str) -> None:
    redactor = Redactor(hosts=["pbx7"])
    once = redactor.text(text)

    assert redactor.text(once) == once


def test_the_tables_have_at_least_150_cases() -> None:
    assert len(REDACTED) + len(KEPT) >= 150


def test_equal_values_have_the_same_placeholder_in_all_texts() -> None:
    redactor = Redactor()

    texts = [redactor.text(text) for text in ("192.0.2.1 192.0.2.2", '"192.0.2.2"', "sip:a@192.0.2.1")]

    assert texts == ["<address-1> <address-2>", '"<address-2>"', "sip:<user-1>@<address-1>"]
    assert redactor.counts == {Kind.USER: 1, Kind.ADDRESS: 2}


def test_private_columns_of_a_channel_table_are_replaced() -> None:
    lines = Redactor().text(channels(HEADINGS, UP, DOWN)).splitlines()

    assert lines[2].split() == [*UP[:3], "<number-1>", UP[4], "<name-1>", "<number-2>", "<name-2>", UP[8]]
    assert lines[3].split() == [*DOWN[:3], DOWN[4], "<number-2>", DOWN[8]]
    assert lines[-1] == "3 active channels"


def test_a_row_with_displaced_columns_is_omitted() -> None:
    displaced = ("PJSIP/a-trunk-with-a-long-name-00000001", *UP[1:])

    assert Redactor().text(channels(HEADINGS, displaced)).splitlines()[2].startswith("(row omitted")


def test_the_keys_and_structure_of_a_document_are_kept() -> None:
    document = {"host": "pbx7", "process": {"pid": 7, "command_line": "asterisk -r 192.0.2.1"}, "advice": ["pbx7"]}

    assert Redactor(hosts=["pbx7"]).document(document) == {
        "host": "<host-1>",
        "process": {"pid": 7, "command_line": "asterisk -r <address-1>"},
        "advice": ["<host-1>"],
    }


@given(st.text(alphabet='"\\<>@:.=+/ \nabcsip0123456789-', max_size=200))
def test_redacting_twice_changes_nothing(text: str) -> None:
    redactor = Redactor()
    once = redactor.text(text)

    assert redactor.text(once) == once


@given(
    st.ip_addresses(v=4).filter(lambda address: address.is_global),
    st.sampled_from((" {} ", '"{}"', "={},", "[{}]:5060")),
)
def test_every_address_is_replaced(address: object, around: str) -> None:
    assert str(address) not in Redactor().text(around.format(address))
