"""Which facts of a crash leave the machine."""

from dataclasses import replace

import pytest

from astbtd.model.crash import MappedFile, ObjectState, Site, SiteFrame
from astbtd.notify.crash_facts import crash_facts
from astbtd.notify.payload import to_json
from tests.support.builders import crash
from tests.support.notifications import crash_notification
from tests.support.redaction_cases import REDACTED

DIAL = "/usr/lib/asterisk/modules/app_dial.so"
THREAD = """\
#0  0x0000555555 in ast_bridge_join (bridge=0x1, name=0x7f "sip:alice@203.0.113.9") at bridge.c:1703
        secret = "hunter2"
#1  <signal handler called>
#2  0x00007ffff1 in dial_exec_full (chan=0x2, data=0x3 "SIP/alice") at app_dial.c:3400
#3  0x00007ffff2 in ?? () from /home/bob/lib/libodd.so
"""


def test_a_frame_has_function_source_module_and_build_id_and_nothing_else() -> None:
    one = replace(
        crash(),
        objects=(MappedFile(DIAL, "cd" * 20, ObjectState.SAME),),
        site=Site("5" * 16, (SiteFrame("ab" * 20, "/usr/sbin/asterisk", "0x1"),)),
    )

    first, second, third = crash_facts(one, THREAD).frames

    assert (first.function, first.file, first.line) == ("ast_bridge_join", "bridge.c", 1703)
    assert (first.module, first.build_id) == ("/usr/sbin/asterisk", "ab" * 20)
    assert (second.function, second.module, second.build_id) == ("dial_exec_full", DIAL, "cd" * 20)
    assert third.function is None
    assert third.module
    assert third.module.endswith("/lib/libodd.so")
    assert "bob" not in third.module


def test_the_facts_are_those_of_the_record() -> None:
    facts = crash_facts(crash(), "")

    assert (facts.id, facts.signal, facts.version) == (crash().id, "SIGSEGV", "22.10.0")
    assert facts.signature
    assert (facts.signature.id, facts.signature.occurrence) == ("0123456789ab", 1)
    assert not facts.foreign
    assert facts.frames == ()


def test_a_long_stack_is_cut_and_the_rest_is_counted() -> None:
    text = "".join(f"#{level}  0x{level + 1:x} in recurse (n={level}) at a.c:1\n" for level in range(150))

    facts = crash_facts(crash(), text)

    assert (len(facts.frames), facts.frames_omitted) == (100, 50)


def test_control_characters_in_a_name_are_escaped() -> None:
    facts = crash_facts(crash(function="f\n\x1b[31m" + "x" * 1000), "")

    assert facts.function
    assert facts.function.startswith(r"f\n\x1b[31mxxx")
    assert len(facts.function) < 600


@pytest.mark.parametrize("text", ["", "\0", "#0  0x", THREAD[:70], "no frames at all"])
def test_junk_gives_no_error(text: str) -> None:
    crash_facts(crash(), text)


@pytest.mark.parametrize(("text", "secrets"), REDACTED)
def test_what_the_memory_holds_is_not_among_the_facts(text: str, secrets: tuple[str, ...]) -> None:
    thread = f"#0  0x01 in f (a={text}) at a.c:1\n        {text}\n#1  0x02 in g () at b.c:2\n        x = {text}\n"

    facts = crash_facts(crash(), thread)

    sent = to_json(replace(crash_notification(), crash=facts)).decode()
    assert [
        secret for secret in secrets if secret in sent and secret not in to_json(crash_notification()).decode()
    ] == []
    assert [frame.function for frame in facts.frames] == ["f", "g"]
