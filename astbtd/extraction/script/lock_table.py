"""The table of locks that an Asterisk built with DEBUG_THREADS keeps, as `core show locks` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import gdb

from astbtd.extraction.script.containers import ContainerWalk
from astbtd.extraction.script.core_values import (
    NoDebugInformation,
    NotThere,
    as_text,
    member,
    number,
    structure,
    variable,
)
from astbtd.extraction.script.text_table import UNREADABLE, moment
from astbtd.lib.escaping import printable_line

HEADING = """\
=== Locks at the crash
===
=== <pending> <lock#> (<file>): <lock type> <line num> <function> <lock name> <lock addr>
===
"""
BUILT_WITHOUT = (
    "this Asterisk was built without DEBUG_THREADS, so it keeps no table of locks; "
    "to have one: make menuselect, Compiler Flags, DEBUG_THREADS"
)


def has_table() -> bool:
    """Whether the program has a table of locks, as far as its symbols tell."""
    return number("(long) &lock_infos") is not None


def locks(options: str | None) -> str:
    """The table; `options` are the build options as far as known. Raises NotThere."""
    if options is not None and "DEBUG_THREADS" not in options:
        raise NotThere(BUILT_WITHOUT)
    try:
        head = variable("lock_infos", "utils.c")
    except NoDebugInformation as error:
        raise error if options is not None else NotThere("there is no sign of DEBUG_THREADS") from None
    walk = ContainerWalk()
    threads = list(_threads(head, walk))
    busy = [thread.text for thread in threads if thread.busy]
    waiting = [thread.text for thread in threads if thread.locks and not thread.busy]
    remarks = [f"=== ({remark})\n" for remark in walk.remarks]
    counts = f"{len(busy)} hold locks, wait for one or failed to get one, {len(waiting)} only wait for a condition"
    return "".join((HEADING, *busy, *waiting, *remarks, f"=== Of {len(threads)} threads, {counts}\n"))


class _Thread:
    """One thread's entry in the table; `busy` if a lock of its is not suspended by the wait for a condition."""

    def __init__(self, info: gdb.Value) -> None:
        claimed = int(info["num_locks"])
        room = info["locks"].type.range()[1] + 1
        locks = (info["locks"][index] for index in range(min(claimed, room)))
        self.locks = list(takewhile(lambda lock: int(lock["lock_addr"]), locks))
        self.busy = any(not int(lock["suspended"]) for lock in self.locks)
        lines = [f"=== Thread ID: {int(info['thread_id']):#x}{_lwp(info)} ({_text(info, 'thread_name')})\n"]
        for index, lock in enumerate(self.locks):
            lines += _lock(index, lock)
        if claimed != len(self.locks):
            lines.append(f"=== (it claims to have {claimed} locks)\n")
        self.text = "".join(lines) + "===\n"


def _threads(head: gdb.Value, walk: ContainerWalk) -> Iterator[_Thread]:
    for info in walk.chain(head["first"], "entry.next"):
        try:
            yield _Thread(info)
        except gdb.MemoryError:
            walk.remark(f"the entry at {int(info):#x} cannot be read")


def _lwp(info: gdb.Value) -> str:
    try:
        return f" LWP:{int(member(info, 'lwp'))}"
    except NotThere:
        return ""


def _lock(index: int, lock: gdb.Value) -> Iterator[str]:
    kind = str(lock["type"]).replace("AST_", "")
    where = f"{int(lock['line_num'])} {_text(lock, 'func')} {_text(lock, 'lock_name')} {int(lock['lock_addr']):#x}"
    yield f"=== ---> {_state(lock)}Lock #{index} ({_text(lock, 'file')}): {printable_line(kind)} {where}\n"
    times = f"times locked {int(lock['times_locked'])}, attempts {int(lock['times_lock_attempted'])}"
    yield f"===      since {moment(int(lock['last_locked']['tv_sec']))} ({times})\n"
    if int(lock["pending"]) > 0:
        yield from _holders(lock["lock_addr"], "mutex" if kind == "MUTEX" else "rwlock")


def _state(lock: gdb.Value) -> str:
    if int(lock["suspended"]):
        return "Suspended "
    pending = int(lock["pending"])
    return "Waiting for " if pending > 0 else "Tried and failed to get " if pending else ""


def _holders(address: gdb.Value, kind: str) -> Iterator[str]:
    """Who holds a lock that a thread waits for: glibc knows the thread, Asterisk where it took the lock."""
    try:
        lock = address.cast(structure(f"ast_{kind}_info").pointer())
        if kind == "mutex":
            yield f"=== --- ---> Owned by LWP:{int(member(lock, 'mutex.__data.__owner'))}\n"
        track = member(lock, "track", "_track")
        if not int(track):
            return
        for index in range(min(int(track["reentrancy"]), track["file"].type.range()[1] + 1)):
            file, function = as_text(track["file"][index]), as_text(track["func"][index])
            where = f"{file} line {int(track['lineno'][index])} ({function})"
            yield f"=== --- ---> Locked Here: {printable_line(where)} by thread {int(track['thread_id'][index]):#x}\n"
    except (gdb.error, NotThere) as error:
        yield f"=== --- ---> who holds it cannot be read: {error}\n"


def _text(value: gdb.Value, name: str) -> str:
    try:
        return printable_line(as_text(value[name]))
    except gdb.MemoryError:
        return UNREADABLE
