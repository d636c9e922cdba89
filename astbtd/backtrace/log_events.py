"""Parses the lines in which the kernel, systemd, scripts and C libraries log that a process crashed.

Sources: Linux arch/x86/mm/fault.c and kernel/traps.c, arch/arm64/kernel/traps.c, arch/arm/mm/fault.c,
arch/mips/mm/fault.c, arch/powerpc/kernel/traps.c, kernel/signal.c of FreeBSD, systemd's core/unit.c,
contrib/scripts/safe_asterisk of Asterisk, glibc's assert/assert.c, libmalloc of macOS.
"""

import re
import signal
from collections.abc import Callable
from contextlib import suppress

from astbtd.backtrace.marker_types import HeapError, LogEvent, Marker

_MAX_TEXT = 300  # characters
_MODULE = re.compile(r"\bin (?P<module>[^\s\[\]]+)\[(?:(?P<offset>[0-9a-f]+),)?(?P<base>[0-9a-f]+)\+[0-9a-f]+(?:\]|$)")
_INSTRUCTION = re.compile(r"\b(?:ip|rip|nip|epc|pc)(?: ?[:=] ?| )(?:0x)?(?P<ip>[0-9a-f]{4,16})\b")
_TRAPS = {
    "divide error": "SIGFPE",
    "invalid opcode": "SIGILL",
    "int3": "SIGTRAP",
    "stack segment": "SIGBUS",
    "alignment check": "SIGBUS",
    "bounds": "SIGSEGV",
    "overflow": "SIGSEGV",
    "general protection": "SIGSEGV",
    "fpu exception": "SIGFPE",
    "x87 fp exception": "SIGFPE",
    "simd fp exception": "SIGFPE",
    "simd exception": "SIGFPE",
}
_SHELL = {
    "Segmentation fault": "SIGSEGV",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating point exception": "SIGFPE",
    "Aborted": "SIGABRT",
    "Abort trap": "SIGABRT",
}
_SIGNAL_EXIT = 128  # a shell's exit status for a process that a signal ended is this much more


def signal_name(word: str | None) -> str | None:
    """Return the name of a signal that is given as `SIGSEGV`, `SEGV` or a number; None for an unknown number."""
    if not word:
        return None
    if not word.isdecimal():
        return f"SIG{word.removeprefix('SIG')}"
    with suppress(ValueError):
        return signal.Signals(int(word)).name
    return None


def parse_log_event(line: str) -> Marker | None:
    """Return what `line` logs about the end of a process, or None."""
    if not contains_any(line, _ALL_KEYWORDS):
        return None
    for keywords, pattern, to_marker in _PATTERNS:
        if contains_any(line, keywords) and (match := pattern.search(line)):
            return to_marker(match)
    return None


def contains_any(line: str, keywords: tuple[str, ...]) -> bool:
    """Return True if one of the words is in `line`. A loop is the fastest way, and this runs for every line."""
    for keyword in keywords:  # noqa: SIM110 - any() takes twice the time
        if keyword in line:
            return True
    return False


def _event(match: re.Match[str], name: str | None) -> LogEvent:
    """Return the event, with the module and the offset that the rest of the line names."""
    line = match.string
    module = _MODULE.search(line)
    if not module:
        return LogEvent(_text(line), name)
    offset = None
    if module["offset"]:
        offset = int(module["offset"], 16)
    elif instruction := _INSTRUCTION.search(line):
        offset = int(instruction["ip"], 16) - int(module["base"], 16)
    return LogEvent(_text(line), name, module["module"], offset if offset is None or offset >= 0 else None)


def _text(line: str) -> str:
    return line.strip()[:_MAX_TEXT]


def _to_trap(match: re.Match[str]) -> Marker:
    return _event(match, _TRAPS[match["trap"].lower()])


def _to_exit_status(match: re.Match[str]) -> Marker:
    return _event(match, signal_name(str(int(match["status"]) - _SIGNAL_EXIT)))


def _to_signal(match: re.Match[str]) -> Marker:
    return _event(match, signal_name(match["signal"]))


def _to_shell(match: re.Match[str]) -> Marker:
    return _event(match, _SHELL[match["words"]])


def _to_c_assertion(match: re.Match[str]) -> Marker:
    return LogEvent(_text(match.string), "SIGABRT", function=match["function"])


def _to_segfault(match: re.Match[str]) -> Marker:
    return _event(match, "SIGSEGV")


def _to_abort(match: re.Match[str]) -> Marker:
    return _event(match, "SIGABRT")


_Pattern = tuple[tuple[str, ...], re.Pattern[str], Callable[[re.Match[str]], Marker]]
_PATTERNS: tuple[_Pattern, ...] = (
    # Linux
    (
        ("segfault",),
        re.compile(r"\] ?: ?segfault at |: segfault (?:at [0-9a-f]+ ip |\(11\) at )"),
        _to_segfault,
    ),
    (
        ("trap", "general protection"),
        re.compile(
            r"\btrap:? (?P<trap>" + "|".join(_TRAPS) + r")\b|\]:? (?P<protection>general protection)(?: fault)? ip:",
            re.IGNORECASE,
        ),
        lambda match: _to_trap(match) if match["trap"] else _to_segfault(match),
    ),
    (
        ("unhandled",),
        re.compile(r"\bunhandled (?:\w+ ){0,5}(?:fault|exception|abort|error)[^()]{0,40} \((?P<signal>\d{1,2})\)"),
        _to_signal,
    ),
    (
        ("illed process",),
        re.compile(r"\b[Kk]illed process \d{1,10} \(.{1,15}\)"),  # the OOM killer, mm/oom_kill.c
        lambda match: _event(match, "SIGKILL"),
    ),
    (("unhandled signal",), re.compile(r"\bunhandled signal (?P<signal>\d{1,2})\b"), _to_signal),
    (("undefined instruction",), re.compile(r"\bundefined instruction: "), lambda match: _event(match, "SIGILL")),
    (("sending SIG",), re.compile(r"\bsending (?P<signal>SIG[A-Z]{2,6}) to \S"), _to_signal),
    (("epc =",), re.compile(r"\bepc ?= ?[0-9a-f]{6,16} in \S+\["), lambda match: _event(match, None)),
    # FreeBSD and others
    (("exited on signal",), re.compile(r"\bexited on signal (?P<signal>\d{1,2})\b"), _to_signal),
    # systemd
    (
        ("code=dumped", "code=killed"),
        re.compile(r"\bcode=(?:dumped|killed), (?:status=\d{1,2}/|signal=)(?P<signal>[A-Z]{2,6})\b"),
        _to_signal,
    ),
    (("terminated abnormally",), re.compile(r"\bterminated abnormally with signal (?P<signal>\d{1,2})/"), _to_signal),
    # safe_asterisk, containers
    (
        ("exit status", "exited with code", "died with code", "xit code", "status=1", "Exited ("),
        re.compile(
            r"(?:\bended with exit status |\bexited with code |\bdied with code |\b[Ee]xit code:? |"
            r"\bcode=exited, status=|\bExited \()"
            r"(?P<status>13[0-9]|14[0-9])\b"
        ),
        _to_exit_status,
    ),
    # shells: alone on the line, or after the line of the script and the process
    (
        tuple(_SHELL),
        re.compile(
            r"(?:^|: line \d{1,6}: +\d{1,10} |^\d{1,10} +)(?P<words>"
            + "|".join(_SHELL)
            + r")(?::? \d{1,2})?(?: +\(core dumped\)|$| {2,})"
        ),
        _to_shell,
    ),
    # glibc's assert()
    (
        ("Assertion `", 'assertion "'),
        re.compile(
            r"[\w.+/-]{1,100}:\d{1,7}: (?:.{0,200}?\b)?"
            r"(?P<function>[A-Za-z_]\w{0,200})(?:\(.{0,200}\))?: (?:Assertion `|assertion \")"
        ),
        _to_c_assertion,
    ),
    (
        ("Assertion failed: ",),
        re.compile(r"\bAssertion failed: .{1,200}, function (?P<function>[A-Za-z_]\w{0,200}), file "),
        _to_c_assertion,
    ),
    # Android
    ((" (SIG",), re.compile(r"\b[Ss]ignal \d{1,2} \((?P<signal>SIG[A-Z]{2,6})\), code "), _to_signal),
    (("buffer overflow detected",), re.compile(r"\*\*\* buffer overflow detected \*\*\*"), _to_abort),
    (("terminate called",), re.compile(r"\bterminate called (?:after throwing|without an active)"), _to_abort),
    # macOS
    (
        ("malloc: ***",),
        re.compile(r"\bmalloc: \*\*\* (?P<message>error for object .{1,200}|(?P<no_memory>mach_vm_map).{0,100})"),
        lambda match: HeapError(match["message"], out_of_memory=bool(match["no_memory"])),
    ),
    (("EXC_",), re.compile(r"\bEXC_\w+ \((?P<signal>SIG[A-Z]{2,6})\)"), _to_signal),
)
_ALL_KEYWORDS = tuple(dict.fromkeys(keyword for keywords, _, _ in _PATTERNS for keyword in keywords))
