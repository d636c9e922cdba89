"""Compares the five files that Asterisk's ast_coredumper writes of a core with those that astbtd writes of it.

ast_coredumper prints each line with `echo -e`, which replaces escape sequences in it. Ours have to pass through the
same before they are compared (`ECHO`). Two things in its files are not taken as they are:

- Its gdb loads the scripts of installed libraries. With a frame filter among them, such as that of GLib, gdb prints
  `??? () at LIBRARY` where it otherwise prints `?? () from LIBRARY`.
- Of a rwlock, it reads the holder at the place where a mutex has it, and then repeats the holder of the row above.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

FILES = ("thread1", "brief", "full", "locks", "info")
ECHO = 'while IFS= read -r line; do echo -e "$line"; done < "$1"'

_NAME_BESIDE_ADDRESS = re.compile(r"(0x[0-9a-f]+) <[^<>]+>")
_FILTERED_OBJECT = re.compile(r" at (/[^:]+)$")
_LOCK = re.compile(
    r"^(?P<thread>0x[0-9a-f]+) +(?P<file>\S+) +(?P<line>\d+) (?P<function>\S+) +(?P<state>waiting|failed|holding) +"
    r"(?P<name>.+?) +(?P<kind>M|RD|WR) +(?P<address>0x[0-9a-f]+) +(?P<times>-?\d+) +(?P<suspended>-?\d+) +"
    r"(?P<held>\d+)$"
)
_HELD_AT = re.compile(r"^ +held at: (?P<file>[^:]+):(?P<line>\d+) (?P<function>\S+)\(\) by (?P<thread>0x[0-9a-f]+)$")
_KINDS = {"M": "MUTEX", "RD": "RDLOCK", "WR": "WRLOCK"}
_STATES = {"waiting": "Waiting for ", "failed": "Tried and failed to get ", "holding": ""}
_TABLES = {"TaskProcessors": "Taskprocessors", "Bridges": "Bridges", "Channels": "Channels"}
_NO_VALUES = ("None", "<None>")
_PROGRAM_VALUES = (
    r"^Asterisk (\S+) built by (.*)$",
    r"^System started: (.*)$",
    r"^Last reload: (.*)$",
    r"^Build options = (.*)$",
    r"^Channel Driver Name: (.*)$",
    r"^(\d+ (?:active channels|active calls|calls processed))$",
)


@dataclass(frozen=True)
class Comparison:
    """Facts of one kind: how many are in their files, which of them ours lack, and in which only a name is missing."""

    what: str
    count: int
    missing: tuple[str, ...] = ()
    without_name: tuple[str, ...] = ()


def compare(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[Comparison]:
    """Compare the texts, each by its name in FILES."""
    return [
        *(_compare_lines(f"{name}: signal", _signal(theirs[name]), _signal(ours[name])) for name in FILES[:4]),
        *(_compare_lines(f"{name}: frames", _frames(theirs[name]), _frames(ours[name])) for name in FILES[:3]),
        *(
            _compare_lines(f"{name}: arguments and variables", _variables(theirs[name]), _variables(ours[name]))
            for name in ("thread1", "full")
        ),
        _compare_locks(theirs["locks"], ours["locks"]),
        _compare_program(theirs["info"], ours["info"]),
        *(_compare_table(name, theirs["info"], ours["info"]) for name in _TABLES),
    ]


def same_frames(theirs: str, ours: str) -> bool:
    """Return whether two listings have the same frames in the same order, for the same threads."""
    shortened = [[_without_names(line) for line in _frames(text)] for text in (theirs, ours)]
    return sorted(shortened[0]) == sorted(shortened[1])


def _signal(text: str) -> list[str]:
    """Return the lines about the signal, which are before the first thread."""
    before = text.split("\nThread ", 1)[0]
    lines = [re.sub(r"^\$\d+ = ", "$N = ", line) for line in before.split("\n")]
    return [line for line in lines if re.match(r"\$N = |Signal +Stop|SIG\w+\t", line)]


def _threads(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the LWP and the lines of each thread."""
    for thread in f"\n{text}".split("\nThread ")[1:]:
        heading, *lines = thread.split("\n")
        lwp = re.search(r"\(LWP (\d+)\)", heading)
        yield (lwp[1] if lwp else heading), lines


def _frames(text: str) -> list[str]:
    return [f"{lwp} {_unfiltered(line)}" for lwp, lines in _threads(text) for line in lines if line.startswith("#")]


def _unfiltered(frame: str) -> str:
    """Return a frame as gdb prints it without frame filters."""
    return _FILTERED_OBJECT.sub(r" from \1", frame.replace(" in ??? (", " in ?? ("))


def _variables(text: str) -> list[str]:
    """Return what is printed below each frame, with the thread and the number of the frame."""
    found = []
    for lwp, lines in _threads(text):
        frame = ""
        for line in lines:
            if line.startswith("#"):
                frame = line.split()[0]
            elif line.strip():
                found.append(f"{lwp} {frame} {line.strip()}")
    return found


def _without_names(line: str) -> str:
    return _NAME_BESIDE_ADDRESS.sub(r"\1", line)


def _compare_lines(what: str, theirs: list[str], ours: list[str]) -> Comparison:
    exact = set(ours)
    shortened = {_without_names(line) for line in ours}
    missing, without_name = [], []
    for line in theirs:
        if line in exact:
            continue
        if _without_names(line) in shortened:
            without_name.append(line)
        else:
            missing.append(line)
    return Comparison(what, len(theirs), tuple(missing), tuple(without_name))


def _compare_locks(theirs: str, ours: str) -> Comparison:
    """Look for each row of their table in the entry of the same thread in ours."""
    entries = _lock_entries(ours)
    rows, missing = 0, []
    entry, is_mutex = "", False
    for line in theirs.split("\n"):
        if lock := _LOCK.match(line):
            rows += 1
            is_mutex = lock["kind"] == "M"
            entry = _find_lock(entries.get(int(lock["thread"], 16), ""), lock)
            missing += [] if entry else [line]
        elif (at := _HELD_AT.match(line)) and is_mutex:
            rows += 1
            held = f"{at['file']} line {at['line']} ({at['function']}) by thread {int(at['thread'], 16):#x}"
            missing += [] if f"Locked Here: {held}\n" in entry else [line]
    return Comparison("locks: rows", rows, tuple(missing))


def _lock_entries(ours: str) -> dict[int, str]:
    """Return the part of our table about each thread, by the identifier of the thread."""
    parts = ours.split("=== Thread ID: ")[1:]
    return {int(part.split()[0], 16): part for part in parts}


def _find_lock(entry: str, lock: re.Match[str]) -> str:
    """Return the lines of our entry about a lock if they say all that the row says, else ''."""
    location = f"{lock['line']} {lock['function']} {lock['name']} {int(lock['address'], 16):#x}\n"
    for found in entry.split("=== ---> ")[1:]:
        state = "Suspended " if int(lock["suspended"]) else _STATES[lock["state"]]
        says_where = re.match(rf"{state}Lock #\d+ \({re.escape(lock['file'])}\): {_KINDS[lock['kind']]} ", found)
        counts = found.partition("(times locked ")[2].partition(")")[0].split(", ")
        held = lock["kind"] != "M" or lock["held"] == "0" or f"held {lock['held']}" in counts
        if says_where and location in found and counts[0] == lock["times"] and held:
            return found
    return ""


def _compare_program(theirs: str, ours: str) -> Comparison:
    """Compare version, builder, options, times and totals, word by word."""
    words = []
    for pattern in _PROGRAM_VALUES:
        for found in re.finditer(pattern, theirs, re.MULTILINE):
            words += " ".join(found.groups()).replace(",", " ").split()
    known = set(ours.replace(",", " ").split())
    return Comparison("info: program and totals", len(words), tuple(word for word in words if word not in known))


def _compare_table(name: str, theirs: str, ours: str) -> Comparison:
    """Compare the cells of a table of info.txt, word by word; the first word is the name of the row."""
    rows = {row.split()[0]: row.split() for row in _rows(ours, _TABLES[name])}
    cells, missing = 0, []
    for row in _rows(theirs, name)[1:]:
        words = [word for word in row.split() if word not in _NO_VALUES]
        cells += len(words)
        missing += [f"{words[0]}: {word}" for word in words if word not in rows.get(words[0], [])]
    return Comparison(f"info: {_TABLES[name].lower()}", cells, tuple(missing))


def _rows(text: str, title: str) -> list[str]:
    """Return the lines of a table of info.txt, the headings first."""
    _, _, rest = text.partition(f"\n{title} (")
    table = rest.partition("\n")[2].lstrip("\n").partition("\n\n")[0]
    return table.split("\n")
