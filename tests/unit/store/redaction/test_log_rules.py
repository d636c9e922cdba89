"""Lines of Asterisk's log without people and secrets."""

import pytest

from astbtd.store.redaction.redactor import Redactor


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("Executing [4915112345678@from-internal:1] Dial(", "4915112345678"),
        ('Dial("PJSIP/alice-00000012", "PJSIP/+4915112345678@trunk,30")', "alice"),
        ('Dial("PJSIP/alice-00000012", "PJSIP/+4915112345678@trunk,30")', "4915112345678"),
        ("app_dial.c: Called Local/08912345678@outbound", "08912345678"),
        ("Registered SIP '4001' at 203.0.113.7:5060", "4001"),
        ("Registered SIP '4001' at 203.0.113.7:5060", "203.0.113.7"),
        ('SecurityEvent="InvalidPassword",AccountID="bob",Challenge="77ab"', "bob"),
        ('SecurityEvent="InvalidPassword",AccountID="bob",Challenge="77ab"', "77ab"),
        ("res_config_mysql.c: password=hunter2x failed", "hunter2x"),
        ('Caller "Jane Doe" <4930123456>', "4930123456"),
        ('Caller "Jane Doe" <4930123456>', "Jane"),
        ("from '\"Bob\" <sip:bob@pbx.example.com>' failed", "pbx.example.com"),
    ],
)
def test_private_data_is_replaced(line: str, private: str) -> None:
    assert private not in Redactor().log(f"[Nov 29 03:12:04] VERBOSE[21] {line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "[Nov 29 03:12:04] ERROR[21] astobj2.c: FRACK!, Failed assertion bad magic number 0x0 for object 0x55d0c8",
        "2026-11-29 03:12:04 systemd: asterisk.service: Main process exited, code=dumped, status=11/SEGV",
        "[Nov 29 03:12:04] WARNING[212] chan_pjsip.c:3214: Unable to send message, unique id 1764385924.12",
    ],
)
def test_what_happened_stays(line: str) -> None:
    assert Redactor().log(line) == line
