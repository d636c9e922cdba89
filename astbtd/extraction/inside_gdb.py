"""Runs inside gdb, unprivileged: prints each section of a crash to a descriptor of its own.

Never imported by astbtd: gdb's own Python executes it, whichever version that is. Its job comes in the environment:
the core, the executable, a descriptor per section. Sections go out thread by thread, the most valuable first, so that
a gdb that is killed leaves all that it finished.
"""

from __future__ import annotations  # gdb may bring an older Python

import errno
import json
import os
import time

import gdb

JOB = json.loads(os.environ["ASTBTD_JOB"])
PROLOGUE = ("p $_siginfo", "info signal $_siginfo.si_signo")  # as in Asterisk's own ast_coredumper
LONGEST_TEXT = 1024
ENDBR64, LEA_RIP_RAX, RET = b"\xf3\x0f\x1e\xfa", b"\x48\x8d\x05", b"\xc3"
TIMES = {"Started": "ast_startuptime", "Last reload": "ast_lastreloadtime"}


def main() -> None:
    write("backtrace.txt", load())
    prologue = "".join(run(command) for command in PROLOGUE)
    for section in ("thread1.txt", "brief.txt", "full.txt", "locks.txt"):
        write(section, prologue)
    crash_thread()
    write("facts", json.dumps({"gdb_version": gdb.VERSION, "asterisk": info_and_locks()}))
    all_threads(sorted(gdb.selected_inferior().threads(), key=lambda thread: -thread.num))


def load() -> str:
    """Loads program and core; returns what gdb says about them, the header of a backtrace."""
    if JOB["frames"]:
        gdb.execute(f"set backtrace limit {JOB['frames']}")
    said = run(f"file {quoted(JOB['executable'])}") if JOB["executable"] else ""
    return said + str(gdb.execute(f"core-file {JOB['core']}", to_string=True))


def crash_thread() -> None:
    write("backtrace.txt", run("bt"))
    write("backtrace.txt", run("bt full"))
    if gdb.selected_thread() is not None:
        write("thread1.txt", run(f"thread apply {gdb.selected_thread().num} bt full"))


def all_threads(threads: list[gdb.InferiorThread]) -> None:
    """One thread at a time, so that a kill loses one thread's text; in the order of `thread apply all`."""
    for thread in threads:
        text = run(f"thread apply {thread.num} bt")
        write("backtrace.txt", text)
        write("brief.txt", text)
    for thread in threads:
        write("full.txt", run(f"thread apply {thread.num} bt full"))


def info_and_locks() -> dict[str, object]:
    """Writes info.txt and locks.txt; returns what the record wants to know of Asterisk."""
    texts = {name: read() for name, read in TEXTS.items()}
    lines = [f"{name}: {text}\n" for name, text in texts.items() if text is not None]
    for name, symbol in TIMES.items():
        seconds = number(f"((long *) &{symbol})[0]")
        if seconds:
            lines.append(f"{name}: {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(seconds))}\n")
    build = "".join(lines) or "Neither version nor build options can be read from this core.\n"
    locks = number("(long) &lock_infos") is not None
    write("info.txt", build)
    write("locks.txt", f"{build}DEBUG_THREADS: {'yes' if locks else 'no sign of it'}\n")
    return {
        "version": texts["Version"],
        "all_options": texts["All build options"],
        "abi_options": texts["Build options"],
        "abort_message": texts["Abort message"],
        "lock_table": locks,
    }


def array_or_getter(array: str, getter: str) -> str | None:
    """A static text of Asterisk: by its name where there are symbols, else through the function that returns it."""
    return text(f"(char *) &{array}") or text_returned_by(getter)


def text_returned_by(function: str) -> str | None:
    """What a function that does nothing but return a text returns, read off its instructions (x86-64)."""
    address = number(f"(unsigned long) &{function}")
    if address is None:
        return None
    try:
        code = bytes(gdb.selected_inferior().read_memory(address, 16))
    except gdb.error:
        return None
    code, skipped = (code[4:], 4) if code.startswith(ENDBR64) else (code, 0)
    if not code.startswith(LEA_RIP_RAX) or code[7:8] != RET:
        return None
    offset = int.from_bytes(code[3:7], "little", signed=True)
    return text(f"(char *) {address + skipped + 7 + offset}")


def abort_message() -> str | None:
    """What libc said when it aborted: glibc keeps it for debuggers, behind its size."""
    if not number("*(unsigned long *) &__abort_msg"):
        return None
    message = text("*(char **) &__abort_msg + 4")
    return message.strip() if message else None


def text(expression: str) -> str | None:
    """The characters at an expression, which an executable without debug information may still name."""
    try:
        characters = gdb.parse_and_eval(expression).string("utf-8", "replace")
        return str(characters)[:LONGEST_TEXT]
    except (gdb.error, UnicodeError, ValueError):
        return None


def number(expression: str) -> int | None:
    try:
        return int(gdb.parse_and_eval(expression))
    except (gdb.error, OverflowError, ValueError):
        return None


def run(command: str) -> str:
    try:
        return gdb.execute(command, to_string=True) or ""
    except gdb.error as error:
        return f"{error}\n"
    except (MemoryError, RuntimeError) as error:
        return f"{command}: {error}\n"


def quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write(section: str, text: str) -> None:
    descriptor = JOB["sections"].get(section)
    rest = text.encode("utf-8", "surrogateescape")
    while rest and descriptor is not None:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            JOB["sections"][section] = None
            return


TEXTS = {
    "Version": lambda: array_or_getter("asterisk_version", "ast_get_version"),
    "Build options": lambda: array_or_getter("asterisk_build_opts", "ast_get_build_opts"),
    "All build options": lambda: array_or_getter("asterisk_build_opts_all", "ast_get_build_opts_all"),
    "Built by": lambda: text("*(char **) &ast_build_user"),
    "Built on": lambda: text("*(char **) &ast_build_hostname"),
    "Kernel": lambda: text("*(char **) &ast_build_kernel"),
    "Machine": lambda: text("*(char **) &ast_build_machine"),
    "System": lambda: text("*(char **) &ast_build_os"),
    "Built at": lambda: text("*(char **) &ast_build_date"),
    "Abort message": abort_message,
}

main()
