"""Write all sections, the most valuable first, so that a gdb that is killed leaves what it has finished."""

from __future__ import annotations

import json
from collections.abc import Callable

import gdb

from astbtd.extraction.script import lock_table, pbx_tables
from astbtd.extraction.script.backtraces import Backtraces
from astbtd.extraction.script.build_info import BuildInfo
from astbtd.extraction.script.core_values import Missing, NoDebugInformation
from astbtd.extraction.script.job import JOB, receive_core, report_backtrace, rewrite, run, write
from astbtd.extraction.script.object_loading import SharedObjects
from astbtd.extraction.script.thread_states import thread_states

PROLOGUE = ("p $_siginfo", "info signal $_siginfo.si_signo")  # as in Asterisk's ast_coredumper
STRIPPED_HINT = """
Values that are unknown for lack of debug information require an asterisk that has it. Install the package with the
debug information of this build (Debian: asterisk-dbgsym, from the archive debian-debug; Fedora and RHEL:
asterisk-debuginfo), or run an Asterisk that you built yourself: its Makefile compiles with -g, do not strip it. A core
that was kept can be extracted again: astbtd core ID --output FILE, then astbtd extract FILE.
"""


def main() -> None:
    """Write all sections; tables come last, so that an error in them cannot cost a backtrace."""
    receive_core()
    objects = SharedObjects()
    write("backtrace.txt", open_program_and_core(objects))
    prologue = "".join(run(command) for command in PROLOGUE)
    for section in ("thread1.txt", "brief.txt", "full.txt", "locks.txt"):
        write(section, prologue)
    backtraces = Backtraces(objects.walked_threads)
    backtraces.write_crashed_thread()
    build = BuildInfo()
    for section in ("locks.txt", "info.txt"):
        write(section, build.text())
    write("facts", json.dumps(facts(build, objects, backtraces)))
    if JOB["crash_thread_only"]:
        return
    threads = sorted(gdb.selected_inferior().threads(), key=lambda thread: -thread.num)
    gdb.write(objects.load_for(threads))
    write("states", json.dumps(thread_states()))
    backtraces.write_all(threads)
    report_backtrace()
    rewrite("facts", json.dumps(facts(build, objects, backtraces)))
    write_tables(build)


def open_program_and_core(objects: SharedObjects) -> str:
    """Open program and core; return gdb's messages, the header of a backtrace."""
    gdb.pretty_printers.clear()  # gdb's own printers know no type of Asterisk, but are called for each value
    if JOB["frame_limit"]:
        gdb.execute(f"set backtrace limit {JOB['frame_limit']}")
    gdb.execute(f"set sysroot {JOB['sysroot']}")
    messages = run(f"file {quote(JOB['executable'])}") if JOB["executable"] else ""
    return messages + objects.open_core()


def facts(build: BuildInfo, objects: SharedObjects, backtraces: Backtraces) -> dict[str, object]:
    """Return the facts for the record, with the fields that astbtd/extraction/script_report.py reads."""
    asterisk = {
        "version": build.version,
        "all_options": build.all_options,
        "abi_options": build.abi_options,
        "abort_message": build.abort_message,
        "lock_table": lock_table.has_table(),
    }
    return {
        "gdb_version": gdb.VERSION,
        "symbols": objects.symbols,
        "asterisk": asterisk,
        "deep_threads": backtraces.deep_threads,
        "threads_without_locals": backtraces.threads_without_locals,
        "crashed_frames": backtraces.crashed_frames,
    }


def write_tables(build: BuildInfo) -> None:
    """Write the tables of locks.txt and info.txt."""
    tables = {
        "Taskprocessors": pbx_tables.taskprocessors,
        "Bridges": pbx_tables.bridges,
        "Channels": pbx_tables.channels,
        "Totals": pbx_tables.totals,
    }
    write_each("locks.txt", {"Locks": lambda: lock_table.locks(build.options)})
    write_each("info.txt", tables)


def write_each(section: str, tables: dict[str, Callable[[], str]]) -> None:
    """Append each table to a section, or the reason why it failed; then a hint if debug information is missing."""
    is_stripped = False
    for title, read in tables.items():
        try:
            text = read()
        except Missing as error:
            is_stripped |= isinstance(error, NoDebugInformation)
            text = f"{title}: unknown: {error}\n"
        except (Exception, KeyboardInterrupt) as error:
            text = f"{title}: cannot be read: {type(error).__name__}: {error}\n"
        write(section, f"\n{text}")
    if is_stripped:
        write(section, STRIPPED_HINT)


def quote(path: str) -> str:
    """Return a path as an argument of gdb's `file`."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
