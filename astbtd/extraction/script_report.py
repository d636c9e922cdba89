"""Parse what the script inside gdb reports as JSON. It is untrusted: gdb may be compromised."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from astbtd.lib.serialization import Decoder
from astbtd.model.crash import Asterisk, Symbols
from astbtd.model.deadlock_capture import ThreadState, ThreadStates
from astbtd.settings import GdbSettings

_MAX_TEXT_LENGTH = 1024
_MAX_SYMBOL_LENGTH = 256
_MAX_OPTIONS = 64
_MAX_LISTED_THREADS = 5

_Report = TypeVar("_Report")


@dataclass(frozen=True)
class _AsteriskReport:
    """The strings about its build that Asterisk contains."""

    version: str | None = None
    all_options: str | None = None
    abi_options: str | None = None
    abort_message: str | None = None
    lock_table: bool = False


@dataclass(frozen=True)
class _FactsReport:
    """The facts as the script writes them; the field names are the JSON keys."""

    gdb_version: str | None = None
    symbols: Symbols = Symbols.ALL
    asterisk: _AsteriskReport = _AsteriskReport()
    deep_threads: tuple[int, ...] = ()
    threads_without_locals: tuple[int, ...] = ()
    crashed_frames: int | None = None


@dataclass(frozen=True)
class GdbFacts:
    """Facts from gdb: its version, the symbols it read, Asterisk's build, and the C library's abort message.

    `deep_threads` and `threads_without_locals` are the gdb numbers of threads with omitted frames or locals.
    `crashed_frames` is the number of frames of the crashed thread, if it is one with omitted frames.
    """

    gdb_version: str | None
    symbols: Symbols
    abort_message: str | None
    asterisk: Asterisk
    deep_threads: tuple[int, ...] = ()
    threads_without_locals: tuple[int, ...] = ()
    crashed_frames: int | None = None

    @classmethod
    def from_json(cls, data: bytes) -> "GdbFacts":
        """Return the facts in `data`; all unknown if it is invalid."""
        report = _decode(_FactsReport, data) or _FactsReport()
        build = report.asterisk
        return cls(
            _limit_length(report.gdb_version),
            report.symbols,
            _limit_length(build.abort_message),
            parse_build(build.version, build.all_options, build.abi_options, lock_table=build.lock_table),
            report.deep_threads,
            report.threads_without_locals,
            report.crashed_frames,
        )

    def omissions(self, settings: GdbSettings) -> Iterator[str]:
        """Yield a sentence for each kind of text that gdb omitted to stay within its limits."""
        if self.deep_threads:
            limits = f"{settings.deep} frames, only the innermost {settings.backtrace_limit} are shown"
            yield f"{_list_threads(self.deep_threads)}: more than {limits}"
        if self.threads_without_locals:
            yield f"{_list_threads(self.threads_without_locals)}: locals are omitted (gdb.output)"


def parse_thread_states(data: bytes) -> ThreadStates:
    """Return the thread states in `data`; none if it is invalid."""
    states = _decode(ThreadStates, data) or ThreadStates()
    return ThreadStates(states.machine, tuple(map(_limit_symbol, states.threads)))


def parse_build(
    version: str | None, all_options: str | None, abi_options: str | None, *, lock_table: bool = False
) -> Asterisk:
    """Return Asterisk's build from the strings it contains, each None if it could not be read.

    DONT_OPTIMIZE and BETTER_BACKTRACES are only in the full list of options, DEBUG_THREADS is in the ABI options too.
    """
    everything = _split_options(all_options)
    known = everything if everything is not None else _split_options(abi_options)
    return Asterisk(
        version=_limit_length(version),
        build_options=known,
        dont_optimize=None if everything is None else "DONT_OPTIMIZE" in everything,
        debug_threads=None if known is None else "DEBUG_THREADS" in known or lock_table,
        better_backtraces=None if everything is None else "BETTER_BACKTRACES" in everything,
    )


def _decode(kind: type[_Report], data: bytes) -> _Report | None:
    try:
        document = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    return Decoder(strict=False).decode(kind, document, "")


def _list_threads(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_LISTED_THREADS]))
    more = len(numbers) - _MAX_LISTED_THREADS
    suffix = f" and {more} more" if more > 0 else ""
    return f"thread{'s' if len(numbers) > 1 else ''} {listed}{suffix}"


def _split_options(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    options = (part.strip()[:_MAX_TEXT_LENGTH] for part in text.split(",")[:_MAX_OPTIONS])
    return tuple(filter(None, options))


def _limit_length(text: str | None) -> str | None:
    return None if text is None else text[:_MAX_TEXT_LENGTH]


def _limit_symbol(state: ThreadState) -> ThreadState:
    return replace(state, symbol=state.symbol and state.symbol[:_MAX_SYMBOL_LENGTH])
