"""Journal entries that say that a process was terminated by a signal: those of the kernel and of the service manager.

Any user can write an entry with the same text. Only fields that journald adds prove who wrote it: `_TRANSPORT=kernel`
is set for lines from /dev/kmsg, and `_PID=1` with `_UID=0` for systemd itself (systemd.journal-fields(7)).
MESSAGE_IDs: systemd's sd-messages.h. Lines of the OOM killer: Linux mm/oom_kill.c.
"""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from astbtd.backtrace.log_events import parse_log_event, signal_name
from astbtd.backtrace.marker_types import LogEvent

_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
_KERNEL = {"_TRANSPORT": "kernel"}
_UNIT_EXIT = {"MESSAGE_ID": _PROCESS_EXIT, "_PID": "1"}
QUERIES = (_KERNEL, _UNIT_EXIT)
"""The fields of the entries that `parse_entry` understands."""

_PROCESS = re.compile(r"^(?:traps: )?(?P<name>.{1,15})\[(?P<tid>\d{1,10})\]")
_OOM = re.compile(r"[Kk]illed process (?P<pid>\d{1,10}) \((?P<name>.{1,15})\)")
_CRASHES = frozenset(
    f"SIG{name}" for name in ("SEGV", "ABRT", "BUS", "FPE", "ILL", "TRAP", "SYS", "QUIT", "XCPU", "XFSZ")
)
"""Signals that dump a core by default. Others, such as SIGKILL, are sent by people and programs on purpose."""


@dataclass(frozen=True)
class KernelMessage:
    """A line of the kernel. `task` is the id of a thread of the process, or of the process itself if `is_oom`."""

    at: datetime
    boot_id: str
    task: int
    name: str
    signal: str
    is_oom: bool
    text: str
    module: str | None = None
    offset: int | None = None


@dataclass(frozen=True)
class UnitExit:
    """The service manager's message that the main process of a unit was terminated by a signal."""

    at: datetime
    boot_id: str
    unit: str
    invocation: str
    signal: str
    dumped: bool


def parse_entry(entry: Mapping[str, object]) -> KernelMessage | UnitExit | None:
    """Return what a journal entry says about the end of a process; None if nothing, or if its writer is not trusted."""
    at, boot_id, text = entry.get("__REALTIME_TIMESTAMP"), _text(entry, "_BOOT_ID"), _text(entry, "MESSAGE")
    if not isinstance(at, datetime):
        return None
    if _text(entry, "_TRANSPORT") == "kernel":
        return _parse_kernel_message(at.astimezone(UTC), boot_id, text)
    if _text(entry, "MESSAGE_ID") == _PROCESS_EXIT and _text(entry, "_PID") == "1" and _text(entry, "_UID") == "0":
        return _parse_unit_exit(at.astimezone(UTC), boot_id, entry)
    return None


def _parse_kernel_message(at: datetime, boot_id: str, text: str) -> KernelMessage | None:
    if killed := _OOM.search(text):
        return KernelMessage(at, boot_id, int(killed["pid"]), killed["name"], "SIGKILL", True, text)
    process, event = _PROCESS.match(text), parse_log_event(text)
    if process is None or not isinstance(event, LogEvent) or event.signal not in _CRASHES:
        return None
    return KernelMessage(
        at, boot_id, int(process["tid"]), process["name"], event.signal, False, text, event.module, event.offset
    )


def _parse_unit_exit(at: datetime, boot_id: str, entry: Mapping[str, object]) -> UnitExit | None:
    code, name = _text(entry, "EXIT_CODE"), signal_name(_text(entry, "EXIT_STATUS"))
    if code not in ("killed", "dumped") or name not in (*_CRASHES, signal.SIGKILL.name):
        return None
    return UnitExit(at, boot_id, _text(entry, "UNIT"), _text(entry, "INVOCATION_ID"), str(name), code == "dumped")


def _text(entry: Mapping[str, object], field: str) -> str:
    """Return a field as text. The journal reader converts some fields to numbers and ids."""
    value = entry.get(field, "")
    return value.hex if isinstance(value, UUID) else str(value)
