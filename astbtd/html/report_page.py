"""Makes the page of a crash or a capture from its record and its text files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from astbtd import __version__
from astbtd.backtrace import lock_listing
from astbtd.backtrace.parser import parse
from astbtd.diagnosis.deadlock import deadlock_report
from astbtd.diagnosis.report import filing_steps
from astbtd.diagnosis.report_summary import (
    FOREIGN,
    SummaryLine,
    next_steps,
    summary_lines,
    with_advice_if_foreign,
)
from astbtd.html.chain_drawing import draw
from astbtd.html.data_tables import DataTable, read_tables, without_tables
from astbtd.html.frame_views import FrameView, FullThread, read_threads, show_frames
from astbtd.html.lock_tables import WaitChain, chain_of_capture, chain_of_listing, tabulate_listing, tabulate_waits
from astbtd.html.template import fill_in
from astbtd.html.thread_groups import ThreadGroup, group_threads
from astbtd.lib.quantities import format_utc
from astbtd.model.crash import LOG_FILE, Crash, Section
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE, Deadlock, sample_file

PAGE_FILE = "report.html"
"""Its name in bundles."""

_CRASH_FILES = (Section.THREAD1, Section.BRIEF, Section.LOCKS, Section.INFO, LOG_FILE)
_MAX_LOG = 1 << 18  # characters, the last ones
_MAX_SHOWN_THREADS = 8

Texts = Mapping[str, str]
"""The contents of text files by their names. Files may be missing."""


@dataclass(frozen=True)
class ShownThread:
    """A thread with all its frames, and a title."""

    title: str
    frames: tuple[FrameView, ...]


@dataclass(frozen=True)
class Fact:
    """A label with one or several texts."""

    label: str
    texts: tuple[str, ...]


def page_files(record: Crash | Deadlock) -> tuple[str, ...]:
    """Return the names of the files that the page is made from. Of a capture, those of the last sample."""
    if isinstance(record, Crash):
        return tuple(map(str, _CRASH_FILES))
    return tuple(sample_file(name, len(record.samples)) for name in (BACKTRACE_FILE, FULL_FILE, LOCKS_FILE))


def render_page(record: Crash | Deadlock, texts: Texts) -> str:
    """Return the page, in ASCII. Raise JinjaMissing."""
    return _render_crash(record, texts) if isinstance(record, Crash) else _render_capture(record, texts)


def _render_crash(crash: Crash, texts: Texts) -> str:
    listing = lock_listing.parse(texts.get(Section.LOCKS, ""))
    crash = with_advice_if_foreign(crash)
    lines = list(summary_lines(crash))
    headline, *rest = (line for line in lines if line.label != FOREIGN)
    steps = next_steps(crash.diagnosis, crash)
    threads = read_threads(texts.get(Section.THREAD1, ""))[:1]
    info = texts.get(Section.INFO, "")
    return fill_in(
        heading=headline.text,
        kicker=headline.label,
        badge=str(crash.diagnosis.verdict),
        good=str(crash.diagnosis.verdict),
        notes=_crash_notes(crash, lines),
        facts=_group_facts(rest),
        steps=steps if len(steps) > 1 else (),  # a fact says the first one
        filing=filing_steps(crash),
        threads_title="The thread that crashed",
        blamed=crash.diagnosis.crash_function or "",
        threads=_show_threads(threads),
        chain=_draw(chain_of_listing(listing)),
        tables=[*_present(tabulate_listing(listing)), *read_tables(info)],
        groups=_group_threads(texts.get(Section.BRIEF, "")),
        log=texts.get(LOG_FILE, "")[-_MAX_LOG:],
        about=without_tables(info),
        footer=f"{crash.id}, written by astbtd {__version__}",
    )


def _render_capture(capture: Deadlock, texts: Texts) -> str:
    backtrace_file, full_file, locks_file = page_files(capture)
    listing = lock_listing.parse(texts.get(locks_file, ""))
    waiting = [wait.lwp for wait in capture.wait_for]
    wanted = capture.cycle or tuple(waiting)
    full = {thread.lwp: thread for thread in read_threads(texts.get(full_file, ""))}
    return fill_in(
        heading=capture.summary,
        kicker="Asterisk was captured while it ran",
        badge=str(capture.finding),
        good="unusable" if capture.cycle else "partial",
        notes=(),
        facts=_group_facts(deadlock_report.summary_lines(capture)),
        steps=tuple(deadlock_report.advise(capture)),
        filing=(),
        blamed="",
        threads_title="The threads that wait for one another" if capture.cycle else "The threads that wait",
        threads=_show_threads([full[lwp] for lwp in wanted if lwp in full]),
        chain=_draw(chain_of_capture(capture)),
        tables=[*_present(tabulate_waits(capture.wait_for)), *_present(tabulate_listing(listing))],
        groups=_group_threads(texts.get(backtrace_file, "")),
        log="",
        about="",
        footer=f"{capture.id}, written by astbtd {__version__}",
    )


def _crash_notes(crash: Crash, lines: Iterable[SummaryLine]) -> list[str]:
    notes = [f"{line.label}: {line.text}" for line in lines if line.label == FOREIGN]
    if crash.texts_removed_at:
        notes.append(f"The texts were removed on {format_utc(crash.texts_removed_at)}")
    return notes


def _group_facts(lines: Iterable[SummaryLine]) -> list[Fact]:
    """Return the lines by label, in order."""
    grouped: dict[str, tuple[str, ...]] = {}
    for line in lines:
        grouped[line.label] = (*grouped.get(line.label, ()), line.text)
    return [Fact(label, texts) for label, texts in grouped.items()]


def _show_threads(threads: Iterable[FullThread]) -> list[ShownThread]:
    return [ShownThread(_title(thread), tuple(show_frames(thread))) for thread in list(threads)[:_MAX_SHOWN_THREADS]]


def _title(thread: FullThread) -> str:
    parts = [f"gdb's thread {thread.number}" if thread.number is not None else ""]
    parts.append(f"LWP {thread.lwp}" if thread.lwp is not None else "")
    return ", ".join(filter(None, parts))


def _group_threads(text: str) -> list[ThreadGroup]:
    return group_threads(parse(text).threads)


def _draw(chain: WaitChain | None) -> object:
    return draw(chain) if chain else None


def _present(table: DataTable | None) -> list[DataTable]:
    return [table] if table else []
