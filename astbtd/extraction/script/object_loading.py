"""Shows gdb those shared objects that frames lie in, and no others: most of a run would go into reading the rest.

gdb maps the whole core, so that all memory can be read; before it looks for shared objects, its sysroot becomes an
empty directory, in which astbtd makes the links that it is asked for, until no frame lacks its object. Each time the
sysroot is set, gdb reads what it finds there and had not before (solib.c, reload_shared_libraries).
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator

import gdb

from astbtd.extraction.script import job
from astbtd.extraction.script.job import JOB, run

FIRST_TO_MAP_FILES = 11  # the major version of gdb; older ones read no memory of objects that they are not shown
MOST_NAMES = 2  # of one object
VERSION = re.compile(r"(\d+)\.")
MAPPING = re.compile(r"^\s*0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+0x[0-9a-f]+\s+0x[0-9a-f]+\s+(/.*?) ?$", re.MULTILINE)
ENTRY = re.compile(r" AT_ENTRY .* 0x([0-9a-f]+)$", re.MULTILINE)
HIDDEN = re.compile(r"^\s+No\s+(/.*)$", re.MULTILINE)
SAID_OF_HIDDEN = re.compile(
    r"^warning: Could not load shared library symbols for .*\n"
    r"(?:Use the \"info sharedlibrary\" .*\n)?(?:Do you need \"set solib-search-path\" .*\n)?",
    re.MULTILINE,
)


class NeedsAllObjects(Exception):
    """The text would not be what it is with all objects read."""


class Objects:
    """The shared objects of the core. Their links have the names under which the process knew them."""

    def __init__(self) -> None:
        self._hidden = JOB["shown"] is not None and maps_files()
        self._mapped = Mapped("")
        self._program: str | None = None
        self._names: dict[str, list[str]] = {}
        self._settled: set[int] = set()

    @property
    def symbols(self) -> str:
        """Whose symbols are read: `lazy` for those of the objects in which frames lie, or `all`."""
        return "lazy" if self._hidden else "all"

    def open_core(self) -> str:
        """Opens the core with the crashed thread's objects; returns what gdb would have said of it with all of them.

        Raises gdb.error where the core cannot be opened.
        """
        if self._hidden:
            gdb.events.new_thread.connect(hide)
        said = job.said(f"core-file {JOB['core']}")
        crashed = gdb.selected_thread()
        if not self._hidden or crashed is None:
            return said
        self._mapped = Mapped(run("info proc mappings"))
        entry = ENTRY.search(run("info auxv"))
        self._program = self._mapped.at(int(entry[1], 16)) if entry else None
        for name in HIDDEN.findall(run("info sharedlibrary")):
            names = self._names.setdefault(self._mapped.real(name), [])
            if name not in names and len(names) < MOST_NAMES:
                names.append(name)
        said_of_objects = self.complete([crashed])
        if is_deep():  # where its outermost frames are, libc, is known from other threads
            said_of_objects += self.complete(list(gdb.selected_inferior().threads()))
            crashed.switch()
        return said_in_time(SAID_OF_HIDDEN.sub("", said), said_of_objects)

    def complete(self, threads: list[gdb.InferiorThread]) -> str:
        """Shows objects until no frame of these threads lacks its own; returns what gdb says to that."""
        said = ""
        waiting = threads if self._hidden else []
        while waiting:
            try:
                missing = {thread.num: self._missing(thread) for thread in waiting}
            except NeedsAllObjects:
                self._hidden = False
                return said + run("set sysroot /")
            waiting = [thread for thread in waiting if missing[thread.num]]
            said += self._show({path for path in missing.values() if path})
        return said

    def _missing(self, thread: gdb.InferiorThread) -> str | None:
        """The path of the first object that a thread's frames lack. Raises WouldDiffer."""
        thread.switch()
        for address in addresses():
            path = None if address in self._settled else self._mapped.at(address)
            if path is None or path == self._program or gdb.solib_name(address):
                self._settled.add(address)
            elif path in self._names:
                return path
            else:
                raise NeedsAllObjects
        return None

    def _show(self, paths: set[str]) -> str:
        for path in paths:
            for name in self._names.pop(path):
                ask_for(path, name)
        return SAID_OF_HIDDEN.sub("", run(f"set sysroot {JOB['shown']}")) if paths else ""


def maps_files() -> bool:
    """Whether this gdb reads memory of objects that it is not shown."""
    version = VERSION.search(gdb.VERSION)
    return version is not None and int(version[1]) >= FIRST_TO_MAP_FILES


def hide(_: object) -> None:
    """Hides all objects. gdb adds a core's threads after it mapped the core's files and before it looks for objects."""
    gdb.events.new_thread.disconnect(hide)
    run(f"set sysroot {JOB['shown']}")


def said_in_time(said: str, said_of_objects: str) -> str:
    """What gdb would have said of a core, had it known its objects: their news first, the crashed frame at the end."""
    news, of_process, process = said.partition("Core was generated by")
    process, _, _ = process.rpartition("\n#0 ")
    where = run("frame") + run("thread")
    return f"{news}{said_of_objects}{of_process}{process}\n{where}"


class Mapped:
    """The files that the process had mapped, by address."""

    def __init__(self, listing: str) -> None:
        rows = sorted((int(start, 16), int(end, 16), path) for start, end, path in MAPPING.findall(listing))
        self._starts = [start for start, _, _ in rows]
        self._rows = rows
        self._paths = {path for _, _, path in rows}
        self._directories: dict[str, str] = {}

    def at(self, address: int) -> str | None:
        """The path of the file at an address."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._rows[index][1]:
            return None
        return str(self._rows[index][2])

    def real(self, name: str) -> str:
        """The path of the mapped file that a name leads to, which may do so through links."""
        if name in self._paths:
            return name
        directory, base = os.path.split(name)
        if directory not in self._directories:
            self._directories[directory] = os.path.realpath(directory)
        path = os.path.join(self._directories[directory], base)
        return path if path in self._paths else os.path.realpath(path)


def addresses() -> Iterator[int]:
    """Where the frames of the selected thread are; of those of a runaway recursion, enough to tell that it is one."""
    try:
        frame = gdb.newest_frame()
        for _ in range(JOB["deep"] + 1):
            if frame is None:
                return
            yield frame.pc()
            frame = frame.older()
    except gdb.error:
        return


def is_deep() -> bool:
    """Whether the selected thread has more frames than anything but a runaway recursion; all of one take 2 GB."""
    return sum(1 for _ in addresses()) > int(JOB["deep"])


def ask_for(path: str, name: str) -> None:
    """Has the file at `path` linked under that name, the crashed process's word; returns when there is no more to come.

    Whether it was is seen by the frames.
    """
    os.write(JOB["asking"], os.fsencode(f"{path}\0{name}"))
    os.read(JOB["asking"], 1)
