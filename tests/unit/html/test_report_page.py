"""What the page of a crash and of a capture contains."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.html.report_page import page_files, render_page
from tests.support.builders import NOON, crash
from tests.support.deadlocks import capture

pytest.importorskip("jinja2")

EXAMPLES = Path(__file__).parents[3] / "docs/examples"
THREAD1 = """\
Thread 1 (Thread 0x7f01 (LWP 4243)):
#0  0x01 in ast_bridge_join (bridge=0x0) at bridge.c:1234
        chan = 0x7f55
#1  0x02 in pbx_thread () at pbx.c:7
"""
BRIEF = (
    THREAD1.replace("        chan = 0x7f55\n", "") + "\nThread 2 (LWP 4244):\n#0  0x03 in poll () from /lib/libc.so.6\n"
)
TEXTS = {
    "thread1.txt": THREAD1,
    "brief.txt": BRIEF,
    "info.txt": (EXAMPLES / "info.txt").read_text(),
    "locks.txt": (EXAMPLES / "locks.txt").read_text(),
}


def titles(page: str) -> list[str]:
    return [html.unescape(title) for title in re.findall(r"<h2>(.*?)</h2>", page)]


def test_the_first_screen_is_that_of_the_report() -> None:
    page = html.unescape(render_page(crash(), TEXTS))

    assert "<h1>SIGSEGV (Segmentation fault, address 0x10) in ast_bridge_join</h1>" in page
    assert re.findall(r"<dt>(.*?)</dt>", page) == [
        *("When", "Version", "Seen", "Good enough to file?", "Next", "Signature", "Why")
    ]
    assert f"2026-11-22 12:00:00 UTC on pbx1 (crash {crash().id})" in page


def test_the_sections_are_in_order() -> None:
    assert titles(render_page(crash(), TEXTS)) == [
        "The thread that crashed",
        "Locks (3)",
        "Channels (3)",
        "Bridges (3)",
        "Taskprocessors (3)",
        "All threads, grouped by stack",
    ]


def test_arguments_and_variables_are_folded() -> None:
    page = render_page(crash(), TEXTS)

    (frame,) = re.findall(r'<details class="blamed">(.*?)</details>', page, re.DOTALL)
    assert "ast_bridge_join" in frame.split("</summary>")[0]
    assert "bridge=0x0" in frame.split("</summary>")[1]
    assert "chan = 0x7f55" in frame.split("</summary>")[1]


def test_the_logs_are_folded() -> None:
    page = render_page(crash(), {"log.txt": "[Nov 29 03:12:04] ERROR[21] pbx.c: <lost>\n"})

    assert "<summary>The logs before the crash</summary>" in page
    assert "pbx.c: &lt;lost&gt;" in page


def test_several_advices_are_listed() -> None:
    two = replace(crash(), diagnosis=replace(crash().diagnosis, advice=("First.", "Second.")))

    assert "What to do" in titles(render_page(two, {}))


def test_a_crash_without_texts_says_so() -> None:
    page = render_page(replace(crash(), texts_removed_at=NOON, foreign=True), {})

    assert titles(page) == []
    assert "The texts were removed on 2026-11-22 12:00:00 UTC" in page
    assert "not a crash of the PBX, but of /usr/sbin/asterisk" in page


def test_a_deadlock_is_drawn_with_its_threads() -> None:
    full = "".join(
        THREAD1.replace("LWP 4243", f"LWP {lwp}").replace("Thread 1", f"Thread {lwp}") for lwp in (11, 12, 13)
    )

    page = render_page(capture(), {"backtrace-threads-full.txt": full, "backtrace-threads.txt": BRIEF})

    assert titles(page)[:4] == [
        "What to do",
        "Deadlock",
        "The threads that wait for one another",
        "Who waits for whom (2)",
    ]
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["gdb&#39;s thread 11, LWP 11", "gdb&#39;s thread 12, LWP 12"]
    assert page.count("<rect ") == 2
    assert 'aria-label="LWP 11 pbx_thread waits for queue, held by LWP 12 pbx_thread; LWP 12' in page


def test_the_files_of_a_capture_are_those_of_the_last_sample() -> None:
    two = replace(capture(), samples=capture().samples * 2)

    assert page_files(two) == ("backtrace-threads-2.txt", "backtrace-threads-full-2.txt", "core-show-locks-2.txt")


def test_all_links_and_requests_are_absent() -> None:
    page = render_page(crash(), TEXTS)

    assert re.findall(r" (?:href|src)=|url\((?!#)", page) == []
