"""Collects what programs logged about an error besides frames: failed assertions, reports, the end of the process."""

from collections.abc import Sequence
from dataclasses import replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.marker_types import (
    AccessMarker,
    AssertionMarker,
    EarlierEvent,
    HeapError,
    LiveMarker,
    LogEvent,
    StackStart,
    ToolReport,
)
from astbtd.backtrace.parsed_backtrace import EarlierStack

_MAX_LOG_THREADS = 1000
_EARLIER_FRAMES = 30

Message = AssertionMarker | HeapError | AccessMarker | LogEvent | LiveMarker


class MessageCollector:
    """The messages of a text. Of each sort, the first one is kept: later ones are often consequences."""

    def __init__(self) -> None:
        self.assertion_function: str | None = None
        self.heap_error: HeapError | None = None
        self.log_event: LogEvent | None = None
        self.report: ToolReport | None = None
        self.access: str | None = None
        self.live = False
        self._earlier: dict[EarlierEvent, EarlierStack] = {}
        self._last_assertion: str | None = None
        self._assertions: dict[int, str] = {}  # the last one of each thread in the log

    def add(self, message: Message) -> None:
        """Add what a line says."""
        match message:
            case AssertionMarker():
                self._add_assertion(message)
            case HeapError():
                self.heap_error = self.heap_error or message
            case AccessMarker():
                self.access = self.access or message.access
            case LogEvent():
                self._add_log_event(message)
            case LiveMarker():
                self.live = True

    def add_report(self, report: ToolReport) -> None:
        """Add the first line of a report. An error replaces a leak, and a leak replaces the title of a leak report."""
        known = self.report
        if known is None or (known.leak and (not report.leak or known.error.startswith("detected"))):
            self.report = report

    def add_earlier_stack(self, heading: StackStart, frames: Sequence[Frame]) -> None:
        """Add the stack of an earlier event, which `heading` announced."""
        if heading.earlier:
            self._earlier.setdefault(heading.earlier, EarlierStack(tuple(frames[:_EARLIER_FRAMES]), heading.by_thread))

    def earlier_stack(self, event: EarlierEvent) -> EarlierStack | None:
        """Return the first stack of an earlier event."""
        return self._earlier.get(event)

    def find_assertion(self, log_thread: int | None) -> str:
        """Return the function that the log names for frames: in a message of the same thread, if there is one."""
        if log_thread in self._assertions:
            return self._assertions[log_thread]
        return self._last_assertion or ""

    def _add_assertion(self, marker: AssertionMarker) -> None:
        self._last_assertion = marker.function or ""
        self.assertion_function = self.assertion_function or self._last_assertion
        if marker.log_thread is not None and len(self._assertions) < _MAX_LOG_THREADS:
            self._assertions[marker.log_thread] = self._last_assertion

    def _add_log_event(self, event: LogEvent) -> None:
        """Keep the first event. The line after it may add where it was."""
        known = self.log_event
        if known is None:
            self.log_event = event
        elif known.module is None and event.module and event.signal in (None, known.signal):
            self.log_event = replace(known, module=event.module, offset=event.offset)
        elif known.signal is None:
            self.log_event = replace(known, signal=event.signal)
