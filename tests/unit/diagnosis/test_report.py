"""report.txt: for people, safe to show, the verdict first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from astbtd.diagnosis.advice import EXTRACT_AGAIN
from astbtd.diagnosis.report import render, render_diagnosis
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import (
    Asterisk,
    Core,
    CoreState,
    Crash,
    CrashSignature,
    DiscoveredBy,
    Extraction,
    ExtractionOutcome,
    IdentityFrom,
    Process,
    SentBy,
    Signal,
    Source,
    Symbols,
)
from astbtd.model.diagnosis import Kind
from astbtd.model.surroundings import PbxState, Upgrade
from tests.support.builders import signature_of

MOMENT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def crash(text: str, occurrence: int = 3) -> Crash:
    signal = Signal(11, "SIGSEGV", 1, "0x10")
    diagnosis = diagnose(text, Evidence(signal=signal))
    return Crash(
        id="20260301T120000Z-31455-0a1b2c",
        host="pbx1",
        boot_id=None,
        crashed_at=MOMENT,
        collected_at=MOMENT,
        core=Core("00", IdentityFrom.AT_RANDOM, "/tmp/core", 1, CoreState.KEPT, False, Source.FILE, DiscoveredBy.EVENT),
        process=Process(pid=31455),
        asterisk=Asterisk(version="22.10.0", dont_optimize=True),
        signal=signal,
        extraction=Extraction("13.1", 1.0, ExtractionOutcome.OK, {}, Symbols.LAZY),
        diagnosis=diagnosis,
        signature=CrashSignature(
            diagnosis.signature.id, diagnosis.signature.text, occurrence, MOMENT - timedelta(days=2)
        )
        if diagnosis.signature
        else None,
    )


@pytest.mark.parametrize(
    "fact",
    [
        "SIGSEGV",
        "0x10",
        "speak",
        "2026-03-01 12:00:00 UTC",
        "pbx1",
        "Asterisk 22.10.0",
        "file? yes",
        "usable",
        "3 times since 2026-02-27",
    ],
)
def test_the_first_ten_lines_have_what_matters(two_threads: str, fact: str) -> None:
    first = render(crash(two_threads), two_threads).splitlines()[:10]

    assert fact in "\n".join(first)


def test_the_crash_threads_frames_are_listed_without_locals(two_threads: str) -> None:
    report = render(crash(two_threads), two_threads)

    assert "#3  0x0000564d55e26210 in talker (arg=0x0) at talk.c:8" in report.splitlines()
    assert "No locals" not in report
    assert "LWP 31455" not in report


def test_it_ends_with_how_to_file_an_issue(two_threads: str) -> None:
    ending = render(crash(two_threads), two_threads).partition("How to file an issue")[2]

    assert "https://github.com/asterisk/asterisk/issues" in ending
    assert "Attach backtrace.txt" in ending
    assert "Never attach the core" in ending


def test_the_steps_after_the_next_one_are_numbered(stripped: str) -> None:
    report = render(crash(stripped), stripped)

    assert "\nNext:      Install the debug symbols" in report
    assert "What to do then\n---------------\n2. Then take the backtrace of the core again" in report


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (
            CoreState.KEPT,
            "`astbtd extract 20260301T120000Z-31455-0a1b2c`",
        ),
        (CoreState.LEFT, "`astbtd extract '/srv/a core'`"),
    ],
)
def test_commands_can_be_typed_as_they_are(two_threads: str, state: CoreState, command: str) -> None:
    crashed = crash(two_threads)
    crashed = replace(
        crashed,
        core=replace(crashed.core, state=state, path="/srv/a core"),
        diagnosis=replace(crashed.diagnosis, advice=("Do it.", f"Then {EXTRACT_AGAIN}.")),
    )

    assert f"2. Then extract again: {command}." in " ".join(render(crashed, two_threads).split())


@pytest.mark.parametrize("name", ["two_threads", "double_free", "stripped", "optimized"])
def test_nothing_is_said_twice(request: pytest.FixtureRequest, name: str) -> None:
    text = request.getfixturevalue(name)
    crashed = crash(text)

    words = " ".join(render(crashed, text).split())

    for sentence in (*crashed.diagnosis.advice, *crashed.diagnosis.reasons):
        assert words.count(" ".join(sentence.split())) == 1


STATE = PbxState(MOMENT + timedelta(seconds=3), running=False, unit="asterisk.service", restarts=2, crashes=1)
AGAIN = MOMENT + timedelta(seconds=12)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            replace(STATE, running=True, since=AGAIN),
            "yes, again since 2026-03-01 12:00:12 UTC, 12s after the crash; 2 restarts and 1 crash in the last hour",
        ),
        (
            replace(STATE, running=True, since=MOMENT - timedelta(hours=1)),
            "yes, a process that was started before this crash, at 2026-03-01 11:00:00 UTC; 2 restarts",
        ),
        (
            replace(STATE, unit_state="activating (auto-restart)"),
            "not yet (at 12:00:03 UTC): asterisk.service is activating (auto-restart)",
        ),
        (
            replace(STATE, unit_state="failed (failed)"),
            "no (at 12:00:03 UTC): asterisk.service is failed (failed); start it with `systemctl start asterisk",
        ),
        (replace(STATE, unit=None, restarts=None, crashes=None), "no (at 12:00:03 UTC)"),
    ],
)
def test_the_first_screen_says_whether_asterisk_is_running_again(two_threads: str, state: PbxState, words: str) -> None:
    first = " ".join(render(replace(crash(two_threads), pbx=state), two_threads).split())

    assert f"Running: {words}" in first


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("22.9.0", "asterisk was upgraded from 22.9.0 to 22.10.0 2d before"),
        (None, "asterisk 22.10.0 was installed 2d before"),
    ],
)
def test_the_last_upgrade_is_shown(two_threads: str, before: str | None, words: str) -> None:
    upgrade = Upgrade("asterisk", before, "22.10.0", MOMENT - timedelta(days=2))

    shown = " ".join(render(replace(crash(two_threads), upgrade=upgrade), two_threads).split())

    assert f"3 times since 2026-02-27 12:00:00 UTC; {words}" in shown


def test_the_first_screen_answers_in_the_order_of_the_questions(two_threads: str) -> None:
    lines = render(replace(crash(two_threads), pbx=STATE), two_threads).partition("\n\n")[0].splitlines()
    labels = [
        "Asterisk crashed",
        "When:",
        "Version:",
        "Running:",
        "Seen:",
        "Good enough to file?",
        "Next:",
        "Signature:",
    ]

    found = [label for line in lines for label in labels if line.startswith(label)]

    assert found == labels


def test_a_sent_signal_is_not_to_be_filed() -> None:
    recorded = crash(JUMP)

    assert "file an issue" not in render(
        replace(recorded, diagnosis=replace(recorded.diagnosis, kind=Kind.SENT, advice=("Ask who sent it.",))), JUMP
    )


def test_prose_is_wrapped_at_a_hundred_columns(stripped: str) -> None:
    prose = [line for line in render(crash(stripped), stripped).splitlines() if not line.startswith("#")]

    assert max(map(len, prose)) <= 100


def test_text_from_the_core_cannot_control_a_terminal() -> None:
    text = '#0  0x1 in f\x1b[2J (a=0x1 "\u202e\x9b31m") at f.c:1\n'
    hostile = replace(crash(text), host="pbx\x1b]0;x\x07\nVerdict: usable")

    report = render(hostile, text)

    assert not {character for character in report if not character.isprintable()} - {"\n"}
    assert "\nVerdict: usable" not in report


def test_a_text_without_frames_is_shown_as_it_is() -> None:
    assert "No stack.\\x07" in render(crash(""), "No stack.\x07\n")
    assert "gdb printed nothing" in render(crash(""), "")


def test_a_runaway_recursion_does_not_fill_the_report() -> None:
    text = "".join(f"#{level}  0x1 in f () at f.c:1\n" for level in range(5000))

    report = render(crash(text), text)

    assert "and 4800 more frames" in report
    assert len(report) < 20_000


@pytest.mark.parametrize(
    ("occurrence", "words"),
    [(1, "for the first time"), (12, "12 times since 2026-02-27 12:00:00 UTC, first after version 22.9.0")],
)
def test_the_occurrence_is_shown(two_threads: str, occurrence: int, words: str) -> None:
    crashed = crash(two_threads, occurrence)
    crashed = replace(crashed, signature=replace(signature_of(crashed), after_version="22.9.0"))

    assert words in render(crashed, two_threads)


@pytest.mark.parametrize("name", ["two_threads", "double_free", "stripped", "optimized"])
def test_the_first_ten_lines_have_the_next_step(request: pytest.FixtureRequest, name: str) -> None:
    text = request.getfixturevalue(name)
    crashed = crash(text)

    first = " ".join(line.strip() for line in render(crashed, text).splitlines()[:10])

    assert (*crashed.diagnosis.advice, "https://github.com/asterisk/asterisk/issues")[0] in first


def test_a_diagnosis_of_a_text_begins_as_a_report_does(double_free: str) -> None:
    lines = render_diagnosis(diagnose(double_free)).splitlines()

    assert lines[0] == "Asterisk crashed: SIGABRT in spoil"
    assert lines[1].startswith("Good enough to file? yes")
    assert lines[2].startswith("Next:      To find what damages the memory")


def test_a_diagnosis_of_a_text_counts_threads_and_frames(two_threads: str) -> None:
    assert "\nParsed:    2 threads; 6 frames in the crashed thread\n" in render_diagnosis(diagnose(two_threads))


def test_a_function_without_a_name_is_called_unknown(stripped: str) -> None:
    assert "in an unknown function (no symbols)" in render(crash(stripped), stripped)


JUMP = """\
#0  0x0000000000000000 in ?? ()
#1  0x00007f68663c881d in invoke_indicate (technology=0x7f68666bb378) at channel.c:150
#2  0x00007f68663c886b in main () at asterisk.c:158
"""


def test_the_first_lines_say_what_a_signal_and_a_function_do_not() -> None:
    first = render(crash(JUMP), JUMP).splitlines()[:2]

    assert first[0].startswith("Asterisk crashed: SIGSEGV")
    assert "jumped to address 0, called from invoke_indicate" in first[1]


def test_a_signal_of_another_process_is_not_called_a_crash() -> None:
    recorded = crash(JUMP)
    sent = replace(recorded.diagnosis, kind=Kind.SENT, headline="SIGSEGV sent by pid 2705 (uid 0): do not file")

    first, *_ = render(replace(recorded, diagnosis=sent), JUMP).splitlines()

    assert first == "SIGSEGV sent by pid 2705 (uid 0): do not file"


def test_the_report_of_a_foreign_crash_says_so_first_and_does_not_speak_of_the_pbx(two_threads: str) -> None:
    made = crash(two_threads)
    foreign = replace(made, foreign=True, process=replace(made.process, uid=1000, executable="/home/x/asterisk\x1b"))

    report = render(foreign, two_threads)

    first = report.splitlines()[0]
    assert first == r"Foreign:   this is not a crash of the PBX, but of /home/x/asterisk\x1b, user id 1000"
    assert "Asterisk crashed" not in report
    assert "The program crashed: SIGSEGV" in report
    assert "How to file an issue" not in report
    assert "`asterisk.users`" in report
    assert "in talker (arg=0x0) at talk.c:8" in report


def sent_to(text: str) -> Crash:
    recorded = crash(text)
    diagnosis = diagnose(
        text, Evidence(signal=recorded.signal, sent_by=SentBy(3935, 0), extraction=recorded.extraction)
    )
    return replace(recorded, diagnosis=diagnosis)


def test_who_sent_a_signal_is_the_next_step_and_there_is_nothing_to_file(stripped: str) -> None:
    report = " ".join(render(sent_to(stripped), stripped).split())

    assert "Good enough to file? there is nothing to file (" in report
    assert "Next: Do not file an issue: find out why that process ended Asterisk" in report
    assert "Install the debug symbols" not in report
    assert report.count("SIGSEGV sent by pid 3935") == 1
