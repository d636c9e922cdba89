"""Decides what a text is about: a crash, a failed assertion, a running process, a tool's report, or only log lines.

The headline, the verdict, the advice and the exit status of `astbtd diagnose` follow from the kind.
"""

from astbtd.backtrace.parser import Backtrace, Thread
from astbtd.backtrace.thread_builder import FIRST_THREAD
from astbtd.backtrace.tool_reports import VALGRIND
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.crash_thread import handles_signal_or_aborts, is_known_to_have_crashed
from astbtd.diagnosis.frame_kind import FrameKind
from astbtd.diagnosis.hangs import calls_library, is_sleeping, waits_for_lock
from astbtd.diagnosis.word_lists import load_words
from astbtd.model.crash import Signal
from astbtd.model.diagnosis import Kind

NOT_GROUPED = frozenset({Kind.LIVE, Kind.LOG, Kind.INCOMPLETE, Kind.NOTHING})
"""The kinds that have no signature."""

# si_code of a signal that a process sent with kill() or sigqueue(): SI_USER and SI_QUEUE of Linux, of FreeBSD.
_SENT_CODES = (0, -1, 0x10001, 0x10002)


def decide_kind(
    backtrace: Backtrace, crash_thread: Thread | None, signal: Signal | None, *, has_core: bool, hangs: bool
) -> Kind:
    """Return the kind. `crash_thread` is the thread that would have crashed, `signal` is from the core's notes.

    `has_core`: there is or was a core. `hangs`: threads wait for others, which matters only if nothing crashed.
    """
    if not backtrace.threads:
        return _decide_without_frames(backtrace, signal, has_core)
    if kind := _kind_of_report(backtrace):
        return kind
    if _is_crash_thread_missing(backtrace, has_core):
        return Kind.INCOMPLETE
    name = signal.name if signal else backtrace.signal
    if not _is_crash(backtrace, crash_thread, name, hangs):
        if hangs:
            return Kind.DEADLOCK
        return Kind.SENT if name and not backtrace.live else Kind.LIVE
    if _is_only_assertion(backtrace, name):
        return Kind.ASSERTION
    return Kind.SENT if _is_sent(backtrace, signal, crash_thread) else Kind.CRASH


def _decide_without_frames(backtrace: Backtrace, signal: Signal | None, has_core: bool) -> Kind:
    if has_core or signal:
        return Kind.SENT if signal and signal.code in _SENT_CODES else Kind.CRASH
    if kind := _kind_of_report(backtrace):
        return kind
    if backtrace.assertion_function is not None and not backtrace.log_event:
        return Kind.ASSERTION
    if backtrace.log_event or backtrace.heap_error:
        return Kind.LOG
    return Kind.INCOMPLETE if backtrace.signal else Kind.NOTHING


def _kind_of_report(backtrace: Backtrace) -> Kind | None:
    report = backtrace.report
    if not report:
        return None
    if report.leak:
        return Kind.LEAK
    return Kind.VALGRIND if report.tool == VALGRIND else Kind.SANITIZER


def _is_crash_thread_missing(backtrace: Backtrace, has_core: bool) -> bool:
    """Return True if the text says which thread crashed, or by which signal, and the frames of that thread are missing.

    In a core of Linux, the thread that crashed is gdb's first one.
    """
    numbers = [thread.number for thread in backtrace.threads]
    if None in numbers or any(thread.crashed or handles_signal_or_aborts(thread) for thread in backtrace.threads):
        return False
    number = backtrace.crashed_number
    if number is None and backtrace.ended and not has_core:
        number = FIRST_THREAD
    return number is not None and number not in numbers


def _is_crash(backtrace: Backtrace, crash_thread: Thread | None, signal: str | None, hangs: bool) -> bool:
    """Return True if the process crashed, False if the text shows a process in which nothing failed."""
    if backtrace.assertion_function is not None or signal in load_words("crash_signals"):
        return True
    if any(map(handles_signal_or_aborts, backtrace.threads)):
        return True
    if crash_thread is not None and _raises_signal(crash_thread):
        return True
    if crash_thread is None or is_sleeping(crash_thread) or waits_for_lock(crash_thread):
        return False
    if is_known_to_have_crashed(crash_thread):
        return not backtrace.live
    return not hangs and not backtrace.live and not _was_selected_while_running(backtrace)


def _raises_signal(thread: Thread) -> bool:
    """Return True if the innermost frames raise a signal, even if those of abort() are cut."""
    return FrameKind.ABORT in CrashStack.from_frames(thread.frames).library_kinds


def _was_selected_while_running(backtrace: Backtrace) -> bool:
    """Return True if somebody selected threads of a running process: in a core, the first thread would have crashed.

    A thread that is inside the C library crashed rather than that somebody selected it for being there.
    """
    numbers = [thread.number for thread in backtrace.threads]
    if None in numbers or FIRST_THREAD in numbers or backtrace.signal:
        return False
    return not any(calls_library(thread) and not is_sleeping(thread) for thread in backtrace.threads)


def _is_only_assertion(backtrace: Backtrace, signal: str | None) -> bool:
    """Return True if an assertion failed, and nothing says that the process ended because of it."""
    if signal or any(map(handles_signal_or_aborts, backtrace.threads)):
        return False
    return all(thread.assertion_function is not None for thread in backtrace.threads if thread.frames)


def _is_sent(backtrace: Backtrace, signal: Signal | None, crash_thread: Thread | None) -> bool:
    if crash_thread is not None and handles_signal_or_aborts(crash_thread):
        return False
    if signal and signal.code is not None:
        return signal.code in _SENT_CODES
    return bool(backtrace.sent)
