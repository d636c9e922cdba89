"""Reads the facts that the script inside gdb reports, trusting none of them: gdb may have been taken over."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from astbtd.lib.serialization import Decoder
from astbtd.model.crash import Asterisk, Symbols
from astbtd.settings import GdbSettings

_LONGEST_TEXT = 1024
_MOST_OPTIONS = 64
_MOST_THREADS = 5


@dataclass(frozen=True)
class _AsteriskFacts:
    version: str | None = None
    all_options: str | None = None
    abi_options: str | None = None
    abort_message: str | None = None
    lock_table: bool = False


@dataclass(frozen=True)
class _Reported:
    gdb_version: str | None = None
    symbols: Symbols = Symbols.ALL
    asterisk: _AsteriskFacts = _AsteriskFacts()
    deep: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()


@dataclass(frozen=True)
class GdbFacts:
    """The version of gdb, whose symbols it read, and what of Asterisk; `abort_message` is what libc said when it
    aborted; `deep` and `cut` are the numbers of threads of which frames or locals are left out.
    """

    gdb_version: str | None
    symbols: Symbols
    abort_message: str | None
    asterisk: Asterisk
    deep: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> "GdbFacts":
        """The facts in `data`; nothing known where it is not what the script writes."""
        reported = _decoded(data)
        read = reported.asterisk
        asterisk = built_with(read.version, read.all_options, read.abi_options, lock_table=read.lock_table)
        return cls(
            _short(reported.gdb_version),
            reported.symbols,
            _short(read.abort_message),
            asterisk,
            reported.deep,
            reported.cut,
        )

    def cuts(self, settings: GdbSettings) -> Iterator[str]:
        """What gdb left out to stay within its limits."""
        if self.deep:
            left = f"{settings.deep} frames, of which the innermost {settings.backtrace_limit} are shown"
            yield f"{_threads(self.deep)}: more than {left}"
        if self.cut:
            yield f"{_threads(self.cut)}: locals are left out (gdb.output)"


def _threads(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_THREADS]))
    more = f" and {len(numbers) - _MOST_THREADS} more" if len(numbers) > _MOST_THREADS else ""
    return f"thread{'s' if len(numbers) > 1 else ''} {shown}{more}"


def _decoded(data: bytes) -> _Reported:
    try:
        document = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return _Reported()
    return Decoder(strict=False).dataclass(_Reported, document, "") or _Reported()


def built_with(
    version: str | None, all_options: str | None, abi_options: str | None, *, lock_table: bool = False
) -> Asterisk:
    """What Asterisk's own texts about its build say, each None where it could not be read.

    DONT_OPTIMIZE and BETTER_BACKTRACES stand only in the full list, DEBUG_THREADS in the ABI's as well.
    """
    everything = _options(all_options)
    known = everything if everything is not None else _options(abi_options)
    return Asterisk(
        version=_short(version),
        build_options=known,
        dont_optimize=None if everything is None else "DONT_OPTIMIZE" in everything,
        debug_threads=None if known is None else "DEBUG_THREADS" in known or lock_table,
        better_backtraces=None if everything is None else "BETTER_BACKTRACES" in everything,
    )


def _options(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(option for part in text.split(",")[:_MOST_OPTIONS] if (option := part.strip()[:_LONGEST_TEXT]))


def _short(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST_TEXT]
