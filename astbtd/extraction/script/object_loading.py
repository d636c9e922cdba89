"""Load only the shared objects that contain frames: reading all of them would take most of a run.

gdb maps all files of the core, so that it can read all memory. Before it looks for shared objects, its sysroot is set
to an empty directory, in which astbtd creates links on request, until no frame lacks its object. Whenever the sysroot
is set, gdb reads the objects that it finds there and has not read before (solib.c, reload_shared_libraries).
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator

import gdb

from astbtd.extraction.script import job
from astbtd.extraction.script.job import JOB, run

MIN_GDB_VERSION = 11  # older versions cannot read the memory of objects that are not loaded
MAX_OUTERMOST = 12  # functions
MAX_NAMES = 2  # of one object
C_LIBRARY = re.compile(r"/libc(?:-[\d.]+)?\.so[\d.]*$")
VERSION = re.compile(r"(\d+)\.")
ENTRY = re.compile(r" AT_ENTRY .* 0x([0-9a-f]+)$", re.MULTILINE)
NOT_LOADED = re.compile(r"^\s+No\s+(/.*)$", re.MULTILINE)
NOT_LOADED_WARNING = re.compile(
    r"^warning: Could not load shared library symbols for .*\n"
    r"(?:Use the \"info sharedlibrary\" .*\n)?(?:Do you need \"set solib-search-path\" .*\n)?",
    re.MULTILINE,
)


class NeedsAllObjects(Exception):
    """The text would differ from that with all objects loaded."""


class SharedObjects:
    """The shared objects of the core. Links to them have the names that the process used.

    `walked_threads` are the gdb numbers of threads whose frames are all known, and are not too many.
    """

    def __init__(self) -> None:
        self.walked_threads: set[int] = set()
        self._lazy = JOB["object_directory"] is not None and can_read_unloaded_memory()
        self._mapped = MappedFiles("")
        self._program: str | None = None
        self._names: dict[str, list[str]] = {}  # of objects that are not loaded, by path
        self._resolved: set[int] = set()  # addresses that need no further object

    @property
    def symbols(self) -> str:
        """`lazy` if only the symbols of objects that contain frames are read, otherwise `all`."""
        return "lazy" if self._lazy else "all"

    def open_core(self) -> str:
        """Open the core and load the crashed thread's objects; return gdb's messages as if all objects were loaded.

        Raise gdb.error if the core cannot be opened.
        """
        if self._lazy:
            gdb.events.new_thread.connect(hide_objects)
        messages = job.execute(f"core-file {JOB['core']}")
        crashed = gdb.selected_thread()
        if not self._lazy or crashed is None:
            return messages
        self._read_mappings()
        object_messages = self.load_for([crashed])
        if has_deep_stack():
            # Its outermost frames are not unwound, but their object, libc, contains frames of other threads.
            object_messages += self.load_for(list(gdb.selected_inferior().threads()))
            crashed.switch()
        return merge_messages(NOT_LOADED_WARNING.sub("", messages), object_messages)

    def _read_mappings(self) -> None:
        """Read which files are mapped, which of them is the program, and which objects are not loaded."""
        self._mapped = MappedFiles(run("info proc mappings"))
        entry = ENTRY.search(run("info auxv"))
        self._program = self._mapped.path_at(int(entry[1], 16)) if entry else None
        for name in NOT_LOADED.findall(run("info sharedlibrary")):
            names = self._names.setdefault(self._mapped.resolve(name), [])
            if name not in names and len(names) < MAX_NAMES:
                names.append(name)

    def load_for(self, threads: list[gdb.InferiorThread]) -> str:
        """Load objects until no frame of these threads lacks its object; return gdb's messages."""
        messages = ""
        pending = threads if self._lazy else []
        while pending:
            try:
                missing = {thread.num: self._first_missing(thread) for thread in pending}
            except NeedsAllObjects:
                self._lazy = False
                return messages + self._load_all()
            pending = [thread for thread in pending if missing[thread.num]]
            if pending:
                messages += self._load({*filter(None, missing.values()), *self._c_library()})
        return messages

    def _c_library(self) -> set[str]:
        """Return the path of the C library if it is to be loaded: it holds the outermost frames of every thread."""
        return set(filter(C_LIBRARY.search, self._names)).difference(JOB["outdated"])

    def _first_missing(self, thread: gdb.InferiorThread) -> str | None:
        """Return the path of the first object that a thread's frames lack. Raise NeedsAllObjects."""
        thread.switch()
        depth = 0
        for address in frame_addresses():
            depth += 1
            if address in self._resolved:
                continue
            path = self._mapped.path_at(address)
            is_outdated = path in JOB["outdated"]
            if path is None or path == self._program or is_outdated or gdb.solib_name(address):
                self._resolved.add(address)
                continue
            if path in self._names:
                return path
            raise NeedsAllObjects  # its object cannot be linked
        if depth <= JOB["deep_frames"]:
            self.walked_threads.add(thread.num)
        return None

    def _load_all(self) -> str:
        """Load all objects; return gdb's messages. Files of another build are not loaded.

        First, all are removed: gdb does not load an object again whose new path equals the name in the process.
        """
        if not JOB["outdated"]:
            run(f"set sysroot {JOB['object_directory']}/none")
            return run(f"set sysroot {JOB['sysroot']}")
        return self._load(set(self._names).difference(JOB["outdated"]))

    def _load(self, paths: set[str]) -> str:
        """Request links to these objects and load them; return gdb's messages."""
        for path in paths:
            for name in self._names.pop(path):
                request_link(path, name)
        return NOT_LOADED_WARNING.sub("", run(f"set sysroot {JOB['object_directory']}"))


def can_read_unloaded_memory() -> bool:
    """Return whether this gdb can read the memory of objects that are not loaded."""
    version = VERSION.search(gdb.VERSION)
    return version is not None and int(version[1]) >= MIN_GDB_VERSION


def hide_objects(_: object) -> None:
    """Hide all objects. gdb adds the threads of a core after mapping its files and before looking for objects."""
    gdb.events.new_thread.disconnect(hide_objects)
    run(f"set sysroot {JOB['object_directory']}")


def merge_messages(messages: str, object_messages: str) -> str:
    """Return the messages that gdb prints for a core with all objects: those on objects first, the frame at the end."""
    threads, title, process = messages.partition("Core was generated by")
    process, _, _ = process.rpartition("\n#0 ")
    location = run("frame") + run("thread")
    return f"{threads}{object_messages}{title}{process}\n{location}"


class MappedFiles:
    """The files that the process had mapped, by address, from the output of `info proc mappings`.

    Each line has the start, the end, the size, the offset and the path. To match them takes up to four times as long.
    """

    def __init__(self, listing: str) -> None:
        lines = (line.split(maxsplit=4) for line in listing.split("\n"))
        files = (fields for fields in lines if len(fields) == 5 and fields[4].startswith("/"))
        self._rows = sorted((int(start, 16), int(end, 16), path.removesuffix(" ")) for start, end, _, _, path in files)
        self._starts = [start for start, _, _ in self._rows]
        self._paths = {path for _, _, path in self._rows}
        self._real_directories: dict[str, str] = {}

    def path_at(self, address: int) -> str | None:
        """Return the path of the file at an address; None if there is none."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._rows[index][1]:
            return None
        return str(self._rows[index][2])

    def resolve(self, name: str) -> str:
        """Return the path of the mapped file that a name leads to, which may contain symbolic links."""
        if name in self._paths:
            return name
        directory, base = os.path.split(name)
        if directory not in self._real_directories:
            self._real_directories[directory] = os.path.realpath(directory)
        path = os.path.join(self._real_directories[directory], base)
        return path if path in self._paths else os.path.realpath(path)


def frame_addresses() -> Iterator[int]:
    """Yield the code addresses of the selected thread's frames, just enough of a deep stack to recognize it."""
    try:
        frame = gdb.newest_frame()
        for _ in range(JOB["deep_frames"] + 1):
            if frame is None:
                return
            yield frame.pc()
            frame = frame.older()
    except gdb.error:
        return


def has_deep_stack() -> bool:
    """Return whether the selected thread has so many frames that it is a runaway recursion; all may take 2 GB."""
    return sum(1 for _ in frame_addresses()) > int(JOB["deep_frames"])


def count_frames(most: int) -> tuple[int, list[str]] | None:
    """Return how many frames the selected thread has, and the functions of the outermost ones, the outermost last.

    Return None if there are more than `most`: each takes about 11 kB.
    """
    count = 0
    names: deque[str] = deque(maxlen=MAX_OUTERMOST)
    try:
        frame: gdb.Frame | None = gdb.newest_frame()
        while frame is not None:
            count += 1
            if count > most:
                return None
            names.append(frame.name() or "??")
            frame = frame.older()
    except gdb.error:
        return None
    return count, list(names)


def request_link(path: str, name: str) -> None:
    """Request a link `name`, the process's name for the mapped file `path`, and wait for the answer.

    The answer does not say whether the link was created: loading the object shows that.
    """
    os.write(JOB["request_fd"], os.fsencode(f"{path}\0{name}"))
    os.read(JOB["request_fd"], 1)
