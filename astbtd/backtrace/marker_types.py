"""What the lines around a backtrace say: the results of markers.py and of the modules that it uses."""

from dataclasses import dataclass
from enum import StrEnum


class EarlierEvent(StrEnum):
    """An earlier event whose stack a tool prints as well. Its frames are not those of the error."""

    FREED = "freed"
    ALLOCATED = "allocated"
    OTHER = "other"


@dataclass(frozen=True)
class ToolReport:
    """The first line of a report of a sanitizer or of valgrind. `tool` is its name, `error` is what it found.

    `leak`: the report is about memory that was not freed. `signal`: the tool caught this signal.
    """

    tool: str
    error: str
    leak: bool = False
    signal: str | None = None


@dataclass(frozen=True)
class StackStart:
    """The frames of a thread follow. `crashed`: the line says that this thread crashed, `signal` is by which signal.

    `earlier`: the frames belong to the past, for example to the call that freed the memory; `by_thread` is the tool's
    name for the thread. `printed_by_assertion`: the program printed the frames itself, because an assertion failed;
    `log_thread` is the thread in the prefix of the log message. `report`: the line starts a report.
    """

    number: int | None = None
    lwp: int | None = None
    signal: str | None = None
    crashed: bool = False
    earlier: EarlierEvent | None = None
    by_thread: str | None = None
    printed_by_assertion: bool = False
    log_thread: int | None = None
    report: ToolReport | None = None


@dataclass(frozen=True)
class ThreadSelected:
    """The thread selected in gdb: frames without a heading are its frames. `crashed`: gdb selected it by itself."""

    number: int | None = None
    lwp: int | None = None
    crashed: bool = False


@dataclass(frozen=True)
class SignalMarker:
    """The signal that ended or stopped the process, and gdb's number of the thread that got it, if the line has it.

    `ended`: the process ended by it. `sent`: its code says that a process sent it; None if the line has no code.
    """

    signal: str | None
    number: int | None = None
    ended: bool = True
    sent: bool | None = None


@dataclass(frozen=True)
class UnwindStopped:
    """gdb could not unwind the stack to its end, for this reason."""

    reason: str


@dataclass(frozen=True)
class AssertionMarker:
    """Asterisk's FRACK message: the function whose assertion failed, None if the log does not name it."""

    function: str | None
    log_thread: int | None = None


@dataclass(frozen=True)
class LockListingLine:
    """One line of `core show locks`: a lock that the thread holds, or waits for."""

    address: str
    waiting: bool
    function: str
    file: str
    line: int


@dataclass(frozen=True)
class HeapError:
    """A message about the heap, from an allocator or from Asterisk's MALLOC_DEBUG.

    `out_of_memory`: an allocation failed. `malloc_debug`: the message is from MALLOC_DEBUG; `function` is the caller
    that it names.
    """

    message: str
    out_of_memory: bool = False
    malloc_debug: bool = False
    function: str | None = None


@dataclass(frozen=True)
class AccessMarker:
    """What AddressSanitizer says about the access that was wrong: `read` or `write`."""

    access: str


@dataclass(frozen=True)
class LogEvent:
    """A line in which the kernel, systemd, a script or the C library logs that the process ended.

    `module` and `offset` are where, if the line says so; `function` is the function that it names.
    """

    text: str
    signal: str | None = None
    module: str | None = None
    offset: int | None = None
    function: str | None = None


@dataclass(frozen=True)
class LiveMarker:
    """The text is of a process that was running: a debugger attached to it."""


Marker = (
    StackStart
    | ThreadSelected
    | SignalMarker
    | UnwindStopped
    | AssertionMarker
    | LockListingLine
    | HeapError
    | AccessMarker
    | LogEvent
    | LiveMarker
)
