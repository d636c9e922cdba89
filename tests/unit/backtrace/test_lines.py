"""Lines: what mail, trackers, pagers and logs add around a frame is removed."""

import pytest

from astbtd.backtrace.parser import parse
from tests.support.backtraces import (
    BT_LOCATIONS,
    indent,
    locations,
    only_frame,
    only_thread,
)
from tests.support.transcripts import BT, COREDUMPCTL, MAIN, PLAY, SPEAK


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_newline_ends_a_line(separator: str) -> None:
    frame = only_frame(f'#0  play (text=0x1 "{separator}#0  0x1 in evil () at e.c:1") at p.c:1\n')

    assert frame.function == "play"


@pytest.mark.parametrize(
    "margin",
    ["> ", ">", "> > ", ">> ", "    ", "\t", "                ", "(gdb) "],
)
def test_quoted_or_indented_frames_are_parsed(margin: str) -> None:
    assert locations(indent(BT, margin)) == BT_LOCATIONS


@pytest.mark.parametrize("fence", ["```", "```text", "~~~"])
def test_code_fences_are_ignored(fence: str) -> None:
    assert locations(f"I see this:\n{fence}\n{BT}{fence}\nHelp.\n") == BT_LOCATIONS


def test_a_code_fence_on_the_line_of_a_frame_is_removed() -> None:
    assert locations(f"```{BT.strip()}```") == BT_LOCATIONS
    assert locations(f"`{BT.strip()}`\n") == BT_LOCATIONS


def test_escaped_angle_brackets_are_unescaped() -> None:
    text = "#0  &lt;signal handler called&gt;\n#1  0x1 in play (a=&lt;optimized out&gt;) at talk.c:7\n"

    frames = only_thread(text).frames

    assert (frames[0].signal_handler, frames[1].optimized) == (True, True)


def test_windows_line_ends_and_tabs_are_accepted() -> None:
    assert locations(BT.replace("\n", "\r\n")) == BT_LOCATIONS
    assert locations(BT.replace("  0x", "\t0x")) == BT_LOCATIONS


@pytest.mark.parametrize(
    "pager",
    [
        "--Type <RET> for more, q to quit, c to continue without paging--",
        "---Type <return> to continue, or q <return> to quit---",
    ],
)
def test_pager_prompts_are_removed_anywhere(pager: str) -> None:
    assert locations(f"{SPEAK}\n{pager}{PLAY}\n{pager}\n{MAIN}\n") == BT_LOCATIONS


def test_the_prefix_of_the_journal_is_removed() -> None:
    journal = indent(COREDUMPCTL, "Mar 01 12:00:00 pbx1 systemd-coredump[99]: ")

    assert parse(journal).threads == parse(COREDUMPCTL).threads
