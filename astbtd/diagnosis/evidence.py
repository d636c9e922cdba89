"""What is known of a crash besides the text of its backtrace."""

from dataclasses import dataclass, field

from astbtd.model.crash import Asterisk, Extraction, LostCore, Signal
from astbtd.model.deadlock_capture import ThreadStates


@dataclass(frozen=True)
class Evidence:
    """What the core's notes, the binary and the extraction tell; the defaults mean "not known".

    `signal` and `lwp`, the thread that got it, are from the core's notes and are trusted over the text. `truncated`:
    the core ends before its memory does. `changed_binary`: the executable on disk has another build id than the core.
    `unreadable`: the objects that gdb could not read. `abort_message` is what the C library said when it aborted the
    process. `states` are the threads'. `container`: the process ran in one. `loss` says why there was no core to read.
    """

    signal: Signal | None = None
    lwp: int | None = None
    asterisk: Asterisk | None = None
    extraction: Extraction | None = None
    truncated: bool = False
    changed_binary: bool = False
    unreadable: tuple[str, ...] = ()
    abort_message: str | None = None
    states: ThreadStates = field(default_factory=ThreadStates)
    container: bool = False
    loss: LostCore | None = None
