"""What the parser returns: the threads of a text, and what the lines around them say."""

from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.marker_types import HeapError, LockListingLine, LogEvent, ToolReport


@dataclass(frozen=True)
class Thread:
    """A thread and its frames, innermost first. `number` is gdb's, `unwind_error` is why gdb could not unwind further.

    `frame_count` is how many frames the text has. `frames` may have fewer: the innermost ones. `crashed`: the text says
    that this thread crashed. `assertion_function`: the program printed these frames itself, because an assertion failed
    in this function; empty if the log does not name the function. `locks` are the lines of `core show locks`. `report`:
    a sanitizer or valgrind reported this error in the thread.
    """

    number: int | None
    lwp: int | None
    frames: tuple[Frame, ...]
    unwind_error: str | None = None
    frame_count: int = 0
    crashed: bool = False
    assertion_function: str | None = None
    locks: tuple[LockListingLine, ...] = ()
    report: ToolReport | None = None

    @property
    def text(self) -> str:
        """The thread's `bt`, one frame per line."""
        return "\n".join(frame.text for frame in self.frames)


@dataclass(frozen=True)
class EarlierStack:
    """The stack of an earlier event in a report: the call that freed or allocated the memory, and its thread."""

    frames: tuple[Frame, ...]
    by_thread: str | None = None


@dataclass(frozen=True)
class Backtrace:
    """All threads of a text, in its order, and what the lines around them say.

    `signal` is a name such as SIGSEGV; `ended`: the text says that the process ended by it; `sent`: its code says that
    a process sent it. `crashed_number` is gdb's number of the thread that crashed, even if its frames are missing.
    `live`: a debugger attached to a running process. `assertion_function` is the function in which an assertion of
    Asterisk failed, empty if the log does not name it, None if none failed. `heap_error` is the first message of an
    allocator, `log_event` the first line that logs the end of the process. `report` is the first report of a sanitizer
    or of valgrind, with the `access` that was wrong, and where the memory was `freed` and `allocated`. `optimized`: the
    text contains `<optimized out>`. `debug_threads`: the text contains something that only builds with DEBUG_THREADS
    have. `unparsed_lines` counts the lines that look like frames but could not be parsed.
    """

    threads: tuple[Thread, ...] = ()
    signal: str | None = None
    ended: bool = False
    sent: bool | None = None
    crashed_number: int | None = None
    live: bool = False
    log_event: LogEvent | None = None
    report: ToolReport | None = None
    access: str | None = None
    freed: EarlierStack | None = None
    allocated: EarlierStack | None = None
    assertion_function: str | None = None
    heap_error: HeapError | None = None
    optimized: bool = False
    debug_threads: bool = False
    threads_omitted: int = 0
    unparsed_lines: int = 0
    first_unparsed_line: str | None = None

    def thread(self, number: int) -> Thread | None:
        """Return the thread with this number in gdb."""
        for thread in self.threads:
            if thread.number == number:
                return thread
        return None
