"""The table of locks that an Asterisk built with DEBUG_THREADS keeps, in the format of `core show locks`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import gdb

from astbtd.extraction.script.containers import ContainerWalk
from astbtd.extraction.script.core_values import (
    Missing,
    NoDebugInformation,
    as_text,
    evaluate,
    lookup_struct,
    lookup_variable,
    member,
)
from astbtd.extraction.script.text_table import UNREADABLE, format_time
from astbtd.lib.escaping import printable_line

HEADING = """\
=== Locks at the crash
===
=== <pending> <lock#> (<file>): <lock type> <line num> <function> <lock name> <lock addr>
===
"""
NO_DEBUG_THREADS = (
    "this Asterisk was built without DEBUG_THREADS, so it keeps no table of locks; "
    "to have one: make menuselect, Compiler Flags, DEBUG_THREADS"
)


def has_table() -> bool:
    """Return whether the program has a table of locks, by its symbols."""
    return evaluate("(long) &lock_infos") is not None


def locks(options: str | None) -> str:
    """Return the table; `options` are the build options, None if unknown. Raise Missing."""
    head = _table_head(options)
    walk = ContainerWalk()
    busy, suspended = [], []
    total = 0
    for thread in _threads(head, walk):
        total += 1
        if thread.is_busy:
            busy.append(thread.text)
        elif thread.locks:
            suspended.append(thread.text)
    remarks = [f"=== ({remark})\n" for remark in walk.remarks]
    counts = f"{len(busy)} hold locks, wait for one or failed to get one, {len(suspended)} only wait for a condition"
    return "".join((HEADING, *busy, *suspended, *remarks, f"=== Of {total} threads, {counts}\n"))


def _table_head(options: str | None) -> gdb.Value:
    if options is not None and "DEBUG_THREADS" not in options:
        raise Missing(NO_DEBUG_THREADS)
    try:
        return lookup_variable("lock_infos", "utils.c")
    except NoDebugInformation:
        if options is None:
            raise Missing("no sign of DEBUG_THREADS") from None
        raise


class _Thread:
    """One thread's entry in the table."""

    def __init__(self, info: gdb.Value) -> None:
        self._info = info
        self._claimed = int(info["num_locks"])
        capacity = info["locks"].type.range()[1] + 1
        entries = (info["locks"][index] for index in range(min(self._claimed, capacity)))
        self.locks = list(takewhile(lambda lock: int(lock["lock_addr"]), entries))
        # A lock is suspended while its thread waits for a condition.
        self.is_busy = any(not int(lock["suspended"]) for lock in self.locks)
        self.text = self._format()

    def _format(self) -> str:
        info = self._info
        lines = [f"=== Thread ID: {int(info['thread_id']):#x}{_lwp(info)} ({_member_text(info, 'thread_name')})\n"]
        for index, lock in enumerate(self.locks):
            lines += _lock_lines(index, lock)
        if self._claimed != len(self.locks):
            lines.append(f"=== (according to its counter it has {self._claimed} locks)\n")
        return "".join(lines) + "===\n"


def _threads(head: gdb.Value, walk: ContainerWalk) -> Iterator[_Thread]:
    for info in walk.list_nodes(head["first"], "entry.next"):
        try:
            yield _Thread(info)
        except gdb.MemoryError:
            walk.add_remark(f"the entry at {int(info):#x} cannot be read")


def _lwp(info: gdb.Value) -> str:
    try:
        return f" LWP:{int(member(info, 'lwp'))}"
    except Missing:
        return ""


def _lock_lines(index: int, lock: gdb.Value) -> Iterator[str]:
    kind = str(lock["type"]).replace("AST_", "")
    function, name = _member_text(lock, "func"), _member_text(lock, "lock_name")
    location = f"{int(lock['line_num'])} {function} {name} {int(lock['lock_addr']):#x}"
    yield f"=== ---> {_state(lock)}Lock #{index} ({_member_text(lock, 'file')}): {printable_line(kind)} {location}\n"
    times = ", ".join(_counts(lock, kind))
    yield f"===      since {format_time(int(lock['last_locked']['tv_sec']))} ({times})\n"
    if int(lock["pending"]) > 0:
        yield from _holder_lines(lock["lock_addr"], kind)


def _counts(lock: gdb.Value, kind: str) -> Iterator[str]:
    """Yield how often the thread locked it and tried to, and how often it is held now, by all threads together."""
    yield f"times locked {int(lock['times_locked'])}"
    yield f"attempts {int(lock['times_lock_attempted'])}"
    try:
        track = _track(_lock_structure(lock["lock_addr"], kind))
        if int(track):
            yield f"held {int(track['reentrancy'])}"
    except (gdb.error, Missing):  # without DEBUG_THREADS in the module, or the memory is released
        return


def _state(lock: gdb.Value) -> str:
    if int(lock["suspended"]):
        return "Suspended "
    pending = int(lock["pending"])
    if pending > 0:
        return "Waiting for "
    return "Tried and failed to get " if pending else ""


def _lock_structure(address: gdb.Value, kind: str) -> gdb.Value:
    """Return the lock at an address, of which the table has the kind. Raise Missing."""
    name = "mutex" if kind == "MUTEX" else "rwlock"
    return address.cast(lookup_struct(f"ast_{name}_info").pointer())


def _track(lock: gdb.Value) -> gdb.Value:
    """Return a pointer to the record of who holds a lock; null if it has none. Raise Missing."""
    return member(lock, "track", "_track")


def _holder_lines(address: gdb.Value, kind: str) -> Iterator[str]:
    """Yield who holds a lock that a thread waits for: the thread from glibc, the location from Asterisk."""
    try:
        lock = _lock_structure(address, kind)
        if kind == "MUTEX":
            yield f"=== --- ---> Owned by LWP:{int(member(lock, 'mutex.__data.__owner'))}\n"
        track = _track(lock)
        if not int(track):
            return
        capacity = track["file"].type.range()[1] + 1
        for index in range(min(int(track["reentrancy"]), capacity)):
            file, function = as_text(track["file"][index]), as_text(track["func"][index])
            location = printable_line(f"{file} line {int(track['lineno'][index])} ({function})")
            yield f"=== --- ---> Locked Here: {location} by thread {int(track['thread_id'][index]):#x}\n"
    except (gdb.error, Missing) as error:
        yield f"=== --- ---> the holder cannot be read: {error}\n"


def _member_text(value: gdb.Value, name: str) -> str:
    try:
        return printable_line(as_text(value[name]))
    except gdb.MemoryError:
        return UNREADABLE
