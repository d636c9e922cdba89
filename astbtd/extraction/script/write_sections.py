"""Writes the sections, the most valuable first, so that a gdb that is killed leaves all that it finished."""

from __future__ import annotations

import json
from collections.abc import Callable

import gdb

from astbtd.extraction.script import lock_table, pbx_tables
from astbtd.extraction.script.backtraces import Backtraces
from astbtd.extraction.script.build_info import BuildInfo
from astbtd.extraction.script.core_values import NoDebugInformation, NotThere
from astbtd.extraction.script.job import JOB, rewrite, run, write
from astbtd.extraction.script.object_loading import Objects
from astbtd.extraction.script.thread_states import thread_states

PROLOGUE = ("p $_siginfo", "info signal $_siginfo.si_signo")  # as in Asterisk's own ast_coredumper
STRIPPED = """
What is not known for want of debug information takes an asterisk that has it. Install the package that holds it for
this very build (Debian: asterisk-dbgsym, from the archive debian-debug; Fedora and RHEL: asterisk-debuginfo), or run
one that you built yourself: Asterisk's Makefile compiles with -g, unless it is stripped afterwards. A core that was
kept can be extracted again: astbtd core ID --output FILE, then astbtd extract FILE.
"""


def main() -> None:
    """All sections; tables come last, since nothing in them may cost a backtrace."""
    objects = Objects()
    write("backtrace.txt", load(objects))
    prologue = "".join(run(command) for command in PROLOGUE)
    for section in ("thread1.txt", "brief.txt", "full.txt", "locks.txt"):
        write(section, prologue)
    backtraces = Backtraces()
    backtraces.crashed()
    about = BuildInfo()
    for section in ("locks.txt", "info.txt"):
        write(section, about.lines())
    write("facts", json.dumps(facts(about, objects, backtraces)))
    if JOB["brief"]:
        return
    threads = sorted(gdb.selected_inferior().threads(), key=lambda thread: -thread.num)
    gdb.write(objects.complete(threads))
    write("states", json.dumps(thread_states()))
    backtraces.all(threads)
    rewrite("facts", json.dumps(facts(about, objects, backtraces)))
    tables(about)


def load(objects: Objects) -> str:
    """Loads program and core; returns what gdb says about them, the header of a backtrace."""
    gdb.pretty_printers.clear()  # gdb's own are for none of Asterisk's types, but asked about each value
    if JOB["frames"]:
        gdb.execute(f"set backtrace limit {JOB['frames']}")
    said = run(f"file {quoted(JOB['executable'])}") if JOB["executable"] else ""
    return said + objects.open_core()


def facts(about: BuildInfo, objects: Objects, backtraces: Backtraces) -> dict[str, object]:
    """What the record wants to know."""
    asterisk = {
        "version": about.version,
        "all_options": about.all_options,
        "abi_options": about.abi_options,
        "abort_message": about.abort_message,
        "lock_table": lock_table.has_table(),
    }
    return {
        "gdb_version": gdb.VERSION,
        "symbols": objects.symbols,
        "asterisk": asterisk,
        "deep": backtraces.deep,
        "cut": backtraces.cut,
    }


def tables(about: BuildInfo) -> None:
    """The state of the PBX, part by part; a part that fails says so, and the others stand."""
    parts = {
        "Taskprocessors": pbx_tables.taskprocessors,
        "Bridges": pbx_tables.bridges,
        "Channels": pbx_tables.channels,
        "Totals": pbx_tables.totals,
    }
    write_parts("locks.txt", {"Locks": lambda: lock_table.locks(about.options)})
    write_parts("info.txt", parts)


def write_parts(section: str, parts: dict[str, Callable[[], str]]) -> None:
    """Adds the parts to a section, and once what to do where they fail for want of debug information."""
    stripped = False
    for title, read in parts.items():
        try:
            text = read()
        except NotThere as missing:
            stripped |= isinstance(missing, NoDebugInformation)
            text = f"{title}: not known: {missing}\n"
        except (Exception, KeyboardInterrupt) as error:
            text = f"{title}: cannot be read: {type(error).__name__}: {error}\n"
        write(section, f"\n{text}")
    if stripped:
        write(section, STRIPPED)


def quoted(path: str) -> str:
    """A path as an argument of gdb's `file`."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
