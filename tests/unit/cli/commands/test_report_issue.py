"""`astbtd report`: the addresses that it prints, and what it refuses."""

import json
import platform
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from astbtd.model.crash import Verdict
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run
from tests.support.deadlocks import capture

THREAD = b"""\
Thread 1 (Thread 0x7f01 (LWP 4243)):
#0  0x01 in ast_bridge_join (peer=0x3 "sip:alice@203.0.113.7") at bridge.c:1234
"""


def test_it_prints_the_search_the_issue_and_what_to_attach(astbtd: Run, keep: Keep) -> None:
    keep(crash(), thread1=THREAD)

    answer = astbtd("report", "latest")

    search, issue, attach = (line.split(maxsplit=2) for line in answer.out.splitlines())
    assert (answer.code, answer.err) == (0, "")
    assert "ast_bridge_join" in search[-1]
    assert parse_qs(urlsplit(issue[-1]).query)["logs"] == ["#0  ast_bridge_join at bridge.c:1234"]
    assert attach[-1].endswith(f"from `astbtd bundle {crash().id} --redact`")


def test_json_has_the_same_addresses(astbtd: Run, keep: Keep) -> None:
    keep(crash(), thread1=THREAD)

    document = json.loads(astbtd("report", "latest", "--json").out)

    text = astbtd("report", "latest").out
    assert document.keys() == {"id", "search", "issue", "attach"}
    assert (document["search"] in text, document["issue"] in text) == (True, True)


def test_the_operating_system_is_told_only_for_the_machine_of_the_crash(astbtd: Run, keep: Keep) -> None:
    keep(crash(1), thread1=THREAD)
    keep(replace(crash(2), host=platform.node()), thread1=THREAD)

    here, elsewhere = (astbtd("report", selector, "--json").out for selector in ("-1", "-2"))

    assert (platform.release() in here, platform.release() in elsewhere) == (True, False)


def test_a_partly_usable_backtrace_is_warned_about(astbtd: Run, keep: Keep) -> None:
    partial = replace(crash().diagnosis, verdict=Verdict.PARTIAL, advice=("Install symbols.",))
    keep(replace(crash(), diagnosis=partial), thread1=THREAD)

    answer = astbtd("report", "latest")

    assert answer.code == 0
    assert "only partly usable; before you file it: Install symbols." in answer.err


def test_a_refused_crash_has_no_address_but_the_reason(astbtd: Run, keep: Keep) -> None:
    keep(replace(crash(), foreign=True))

    answer = astbtd("report", crash().id)

    assert (answer.code, answer.out) == (1, "")
    assert "it is not a crash of the PBX" in answer.err
    assert "hint: " in answer.err


def test_a_capture_is_reported_too(astbtd: Run, store: Store) -> None:
    captures = Captures(store.root)
    captures.prepare()
    captures.commit(captures.stage(capture().id), capture(), keep=1)

    document = json.loads(astbtd("report", capture().id, "--json").out)

    assert "try_calling" in document["search"]
    assert document["attach"] == ["backtrace-threads.txt", "core-show-locks.txt"]


def test_an_unknown_id_matches_nothing(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    assert astbtd("report", "19990101T000000Z").code == 3
