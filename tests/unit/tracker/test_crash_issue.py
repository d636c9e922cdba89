"""What the form says about a crash or a capture, and what it does not: values, names and addresses of the PBX."""

from dataclasses import replace

import pytest

from astbtd.tracker.crash_issue import capture_form, crash_form
from astbtd.tracker.issue_form import Frequency
from tests.support.builders import crash, signature_of
from tests.support.deadlocks import capture

THREAD = """\
Thread 1 (Thread 0x7f01 (LWP 4243)):
#0  0x01 in ast_bridge_join (bridge=0x0, secret=0x2 "hunter2", peer=0x3 "sip:alice@203.0.113.7") at bridge.c:1234
        password = "hunter3"
#1  0x02 in try_calling (qe=0x7f, name="+15550100") from /usr/lib/asterisk/modules/app_queue.so
#2  <signal handler called>
#3  0x03 in ?? ()
"""


def test_the_form_has_version_component_frequency_and_place() -> None:
    form = crash_form(crash(), THREAD, "Debian GNU/Linux 12, Linux 6.1")

    assert form.title == "[bug]: SIGSEGV in ast_bridge_join"
    assert form.versions == crash().asterisk.version
    assert form.components == "bridge"
    assert form.frequency is Frequency.ONE_TIME
    assert form.environment.splitlines()[0] == "Debian GNU/Linux 12, Linux 6.1"
    assert "gdb 13.1" in form.environment


def test_the_component_is_the_module_of_the_function_that_crashed() -> None:
    assert crash_form(crash(function="try_calling"), THREAD, "").components == "app_queue"
    assert crash_form(crash(function="elsewhere"), THREAD, "").components == "Core"


def test_the_log_has_functions_and_places_without_values() -> None:
    assert crash_form(crash(), THREAD, "").logs.splitlines() == [
        "#0  ast_bridge_join at bridge.c:1234",
        "#1  try_calling from /usr/lib/asterisk/modules/app_queue.so",
        "#2  <signal handler called>",
        "#3  ??",
    ]


@pytest.mark.parametrize(("occurrence", "frequency"), [(2, "Occasional"), (5, "Frequent")])
def test_the_frequency_follows_from_the_occurrences(occurrence: int, frequency: str) -> None:
    seen = replace(crash(), signature=replace(signature_of(crash()), occurrence=occurrence))

    form = crash_form(seen, THREAD, "")

    assert form.frequency == frequency
    assert f"{occurrence} times since 2026-11-22 12:00:00 UTC" in form.description


def test_the_texts_are_redacted() -> None:
    told = replace(
        crash(), diagnosis=replace(crash().diagnosis, headline="pbx1: call of sip:alice@203.0.113.7 crashed")
    )

    address = crash_form(told, THREAD, "").address()

    assert [private for private in ("pbx1", "alice", "203.0.113.7", "hunter", "15550100") if private in address] == []


def test_a_crash_without_frames_has_an_empty_log() -> None:
    assert crash_form(crash(), "junk", "").logs == ""


def test_the_form_of_a_capture_names_who_waits_for_whom() -> None:
    form = capture_form(capture(), "")

    assert form.title == "[bug]: deadlock: threads wait in try_calling, leave_queue"
    assert form.components == "app_queue"
    assert form.logs.splitlines() == [
        "LWP 11 waits in try_calling at app_queue.c:4321 for mutex queue, held by LWP 12",
        "LWP 12 waits in leave_queue for rwlock 0x20, held by LWP 11",
    ]
