"""The HTML page of real crashes in a real browser: hostile memory runs no script, sends no request, stays text."""

import html
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.model.crash import Section
from tests.support.browser import CHROMIUM, RequestLog, render_dom, request_log
from tests.support.commands import command_line, extract, run_astbtd, section_text
from tests.support.harness import RunningDaemon, crash
from tests.support.hostile_text import ATTACKER, HOSTILE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
pytest.importorskip("jinja2")

ESCAPED = HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")


@pytest.fixture
def log() -> Iterator[RequestLog]:
    """All requests of the browser."""
    with request_log() as log:
        yield log


def write_page(running: RunningDaemon, selector: str, file: Path) -> Path:
    """Write the page of a crash or capture into a file."""
    shown = run_astbtd(running, "show", "--html", selector)
    assert shown.returncode == 0, shown.stderr
    file.write_text(shown.stdout)
    return file


def test_the_browser_would_run_scripts_and_send_requests(scratch: Path, log: RequestLog) -> None:
    """The other tests show something only because of this."""
    page = scratch / "page.html"
    page.write_text(f"<!DOCTYPE html><title>page</title><body><pre>{HOSTILE.rpartition('<meta')[0]}</pre></body>")

    dom = render_dom(page, log)

    assert "<title>owned</title>" in dom
    assert any(ATTACKER in request for request in log.requests())


def test_hostile_memory_is_shown_as_text_in_the_page_of_a_crash(
    extracting: RunningDaemon, programs: Path, scratch: Path, log: RequestLog
) -> None:
    record = extract(extracting, crash(programs, scratch, "segv", "--caller", HOSTILE))
    assert "attacker" in section_text(extracting, record, Section.THREAD1)

    dom = render_dom(write_page(extracting, record.id, scratch / "page.html"), log)

    assert "<title>SIGSEGV (Segmentation fault" in dom
    assert [tag for tag in ("<script", "<img", "<iframe", "<link", "<base", 'refresh"') if tag in dom] == []
    assert log.requests() == []
    assert "<script>document.title='owned'" in html.unescape(dom)


def test_hostile_text_in_every_field_of_a_record_is_shown_as_text(
    extracting: RunningDaemon, programs: Path, scratch: Path, log: RequestLog
) -> None:
    record = extract(extracting, crash(programs, scratch, "segv"))
    hostile = replace(
        record.diagnosis, crash_function=HOSTILE, headline=HOSTILE, reasons=(HOSTILE,), advice=(HOSTILE,) * 2
    )
    extracting.store.change(record.id, lambda crash: replace(crash, diagnosis=hostile, host=HOSTILE))

    dom = render_dom(write_page(extracting, record.id, scratch / "page.html"), log)

    assert html.unescape(dom).count(ESCAPED[:300]) >= 4
    assert "<title>owned" not in dom
    assert log.requests() == []


def test_the_page_of_a_deadlock_has_the_drawing(
    extracting: RunningDaemon, programs: Path, scratch: Path, log: RequestLog
) -> None:
    command = [str(programs / "asterisk"), "deadlock", "--caller", HOSTILE]
    with subprocess.Popen(command, cwd=scratch, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        captured = subprocess.run(
            command_line(extracting, "deadlock", "--pid", str(process.pid), "--json"), capture_output=True, check=True
        )
        process.kill()
    record = json.loads(captured.stdout)

    dom = render_dom(write_page(extracting, record["id"], scratch / "page.html"), log)

    assert dom.count("<rect ") == len(record["cycle"])
    assert "The threads that wait for one another" in dom
    assert "<script" not in dom
    assert log.requests() == []
